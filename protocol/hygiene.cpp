// SPDX-License-Identifier: Apache-2.0
//
// A volume directory without its attribute makes every mount of the volume fail with ENOBUFS, a file without it every
// mount of the blob; the kernel leaves both behind when it crashes at the wrong moment, and never mends them. And a
// direct write into a hole allocates first and marks as written at the end: a crash in between leaves blocks that read
// as zeros and are found as data once they have been read.
#include "base/extents.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "protocol/cookie_path.hpp"
#include "protocol/prepopulate.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <limits>
#include <span>
#include <sys/xattr.h>
#include <system_error>

namespace sluice::protocol {

namespace fs = std::filesystem;

namespace {

using Check = std::function<bool(std::span<const std::byte>)>;

class Sweep {
public:
    explicit Sweep(HygieneReport& report) : report_{report} {}

    void store(const fs::path& directory)
    {
        each(directory, [this](const fs::path& path) {
            const bool is_volume = path.filename().string().starts_with('I') && is_directory(path);
            if (is_volume && judge(path, check_volume_xattr)) {
                each(path, [this](const fs::path& fan) {
                    if (fan.filename().string().starts_with('@') && is_directory(fan)) {
                        each(fan, [this](const fs::path& file) { one_file(file); });
                    }
                });
            }
        });
    }

    void graveyard(const fs::path& directory)
    {
        each(directory, [this](const fs::path& path) { report_.buried += static_cast<std::size_t>(remove(path)); });
    }

private:
    void one_file(const fs::path& path)
    {
        const auto valid = [](std::span<const std::byte> value) { return check_file_xattr(value).has_value(); };
        if (judge(path, valid)) {
            ++report_.kept;
            punch_unwritten(path);
        }
    }

    void punch_unwritten(const fs::path& path)
    {
        const UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
        if (!fd) {
            problem(path, std::error_code{errno, std::system_category()});
            return;
        }
        std::vector<Extent> unwritten;
        constexpr auto kEnd = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
        const int failed = visit_extents(fd.get(), 0, kEnd, [&unwritten](const Extent& extent) {
            if (extent.unwritten) {
                unwritten.push_back(extent);
            }
            return true;
        });
        if (failed != 0 && failed != -EOPNOTSUPP && failed != -ENOTTY) { // else there are none that could be told
            problem(path, std::error_code{-failed, std::system_category()});
        }
        for (const auto& [begin, end, is_unwritten, is_data] : unwritten) {
            const auto length = static_cast<off_t>(end - begin);
            constexpr int kMode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
            if (::fallocate(fd.get(), kMode, static_cast<off_t>(begin), length) != 0) {
                problem(path, std::error_code{errno, std::system_category()});
                return;
            }
            report_.punched += end - begin;
        }
    }

    /// False when the entry is gone, or cannot be judged.
    bool judge(const fs::path& path, const Check& valid)
    {
        std::array<std::byte, 64> value{};
        const auto length = ::lgetxattr(path.c_str(), kCacheXattr, value.data(), value.size());
        if (length < 0 && errno != ENODATA && errno != ERANGE) {
            problem(path, std::error_code{errno, std::system_category()});
            return false;
        }
        if (length >= 0 && valid(std::span<const std::byte>{value}.first(static_cast<std::size_t>(length)))) {
            return true;
        }
        if (remove(path)) {
            report_.removed.push_back(path);
        }
        return false;
    }

    bool remove(const fs::path& path)
    {
        std::error_code error;
        fs::remove_all(path, error);
        if (error) {
            problem(path, error);
        }
        return !error;
    }

    void each(const fs::path& directory, const std::function<void(const fs::path&)>& visit)
    {
        std::error_code error;
        std::vector<fs::path> entries; // complete before anything is removed
        for (fs::directory_iterator at{directory, error}; !error && at != fs::directory_iterator{};
             at.increment(error)) {
            entries.push_back(at->path());
        }
        if (error && error != std::errc::no_such_file_or_directory) {
            problem(directory, error);
        }
        for (const auto& path : entries) {
            visit(path);
        }
    }

    static bool is_directory(const fs::path& path)
    {
        std::error_code error;
        return fs::symlink_status(path, error).type() == fs::file_type::directory;
    }

    void problem(const fs::path& path, std::error_code error)
    {
        report_.problems.push_back(fmt::format("{}: {}", printable(path.string()), error.message()));
    }

    HygieneReport& report_;
};

} // namespace

HygieneReport startup_hygiene(const fs::path& cache_dir)
{
    HygieneReport report;
    Sweep sweep{report};
    sweep.store(cache_dir / "cache");
    sweep.graveyard(cache_dir / "graveyard");
    return report;
}

} // namespace sluice::protocol
