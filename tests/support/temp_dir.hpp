// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <string_view>
#include <system_error>

namespace sluice::test {

/// A fresh directory on a disk file system ($SLUICE_TEST_DIR or /var/tmp: O_DIRECT and holes must work there), removed
/// at the end.
class TempDir {
public:
    TempDir()
    {
        const char* base = ::getenv("SLUICE_TEST_DIR"); // NOLINT(concurrency-mt-unsafe): nobody sets it
        std::string pattern = std::string{base != nullptr ? base : "/var/tmp"} + "/sluice-test-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) {
            throw std::runtime_error{"cannot make " + pattern};
        }
        path_ = pattern;
    }

    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    ~TempDir()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

    /// Writes a file below the directory and returns its path.
    [[nodiscard]] std::filesystem::path write(const std::filesystem::path& name, std::string_view content) const
    {
        const auto file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream{file, std::ios::binary}.write(content.data(), static_cast<std::streamsize>(content.size()));
        return file;
    }

    /// The same for its owner's eyes only, as private keys are.
    [[nodiscard]] std::filesystem::path write_private(const std::filesystem::path& name, std::string_view content) const
    {
        auto file = write(name, content);
        std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
        return file;
    }

private:
    std::filesystem::path path_;
};

} // namespace sluice::test
