// SPDX-License-Identifier: Apache-2.0
//
// The files of an image layout directory. These functions block: they are for workers.
#pragma once

#include "base/digest.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace sluice::fetcher {

/// "/path" of "oci:/path"; kInvalid for what is no layout. Does not block.
[[nodiscard]] Result<std::string> layout_directory(const std::string& repository);

[[nodiscard]] std::string layout_blob_path(const std::string& directory, const Digest& digest);

/// At most `limit` bytes; a longer file is kInvalid, a missing one kNotFound.
[[nodiscard]] Result<std::string> read_small_file(const std::string& path, std::size_t limit);

/// For reading; must have `size` bytes, else kCorrupt.
[[nodiscard]] Result<UniqueFd> open_layout_blob(const std::string& path, std::uint64_t size);

/// Fills `space` from `offset` on; kCorrupt when the file ends before.
[[nodiscard]] Result<void> read_exactly(int fd, std::span<std::byte> space, std::uint64_t offset);

/// A file that is seen under its name when it is complete, and never otherwise: gone when commit()
/// was not called.
class LayoutFile {
public:
    [[nodiscard]] static Result<std::unique_ptr<LayoutFile>> create(const std::string& path);

    LayoutFile(const LayoutFile&) = delete;
    LayoutFile& operator=(const LayoutFile&) = delete;
    ~LayoutFile();

    [[nodiscard]] Result<void> write(std::span<const std::byte> bytes);

    /// Flushes and renames.
    [[nodiscard]] Result<void> commit();

private:
    LayoutFile(UniqueFd fd, std::string temporary, std::string path)
        : fd_{std::move(fd)}, temporary_{std::move(temporary)}, path_{std::move(path)}
    {}

    UniqueFd fd_;
    std::string temporary_;
    std::string path_;
};

[[nodiscard]] Result<void> write_whole_file(const std::string& path, std::string_view content);

/// Makes the directories and the oci-layout file where they are missing.
[[nodiscard]] Result<void> prepare_layout(const std::string& directory);

struct LayoutEntry {
    std::string media_type;
    Digest digest;
    std::uint64_t size = 0;
    std::string artifact_type; ///< may be empty
};

/// Puts `entry` into index.json under `tag` (empty: none), in place of what had that tag; other
/// entries and members stay.
[[nodiscard]] Result<void>
add_to_layout_index(const std::string& directory, const LayoutEntry& entry, const std::string& tag);

} // namespace sluice::fetcher
