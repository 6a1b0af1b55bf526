// SPDX-License-Identifier: Apache-2.0
//
// A volume directory without its attribute makes every mount of the volume fail with ENOBUFS, a file without it every
// mount of the blob; the kernel leaves both behind when it crashes at the wrong moment, and never mends them. And a
// direct write into a hole allocates first and marks as written at the end: a crash in between leaves blocks that read
// as zeros and are found as data once they have been read.
#include "protocol/hygiene.hpp"

#include "base/extents.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "protocol/cookie_path.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <iterator>
#include <limits>
#include <span>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <system_error>
#include <utility>

namespace sluice::protocol {

namespace fs = std::filesystem;

namespace {

using Check = std::function<bool(std::span<const std::byte>)>;

enum class Verdict : std::uint8_t { kSound, kUnsound, kUnknown };

void problem(HygieneReport& report, const fs::path& path, std::error_code error)
{
    report.problems.push_back(fmt::format("{}: {}", printable(path.string()), error.message()));
}

std::error_code last_error()
{
    return {errno, std::system_category()};
}

/// kUnknown when the entry is gone, or cannot be judged.
Verdict judge(const fs::path& path, const Check& valid, HygieneReport& report)
{
    std::array<std::byte, 64> value{};
    const auto length = ::lgetxattr(path.c_str(), kCacheXattr, value.data(), value.size());
    if (length < 0 && errno != ENODATA && errno != ERANGE) {
        if (errno != ENOENT) {
            problem(report, path, last_error());
        }
        return Verdict::kUnknown;
    }
    const bool is_valid =
        length >= 0 && valid(std::span<const std::byte>{value}.first(static_cast<std::size_t>(length)));
    return is_valid ? Verdict::kSound : Verdict::kUnsound;
}

bool remove(const fs::path& path, HygieneReport& report)
{
    std::error_code error;
    fs::remove_all(path, error);
    if (error) {
        problem(report, path, error);
    }
    return !error;
}

std::vector<fs::path> entries(const fs::path& directory, HygieneReport& report)
{
    std::error_code error;
    std::vector<fs::path> found; // complete before anything is removed
    for (fs::directory_iterator at{directory, error}; !error && at != fs::directory_iterator{}; at.increment(error)) {
        found.push_back(at->path());
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        problem(report, directory, error);
    }
    return found;
}

std::vector<fs::path> directories_named(const fs::path& parent, char first, HygieneReport& report)
{
    auto found = entries(parent, report);
    std::erase_if(found, [first](const fs::path& path) {
        std::error_code error;
        const bool is_directory = fs::symlink_status(path, error).type() == fs::file_type::directory;
        return !is_directory || !path.filename().string().starts_with(first);
    });
    return found;
}

/// A name that is free there.
bool bury(const fs::path& path, const fs::path& graveyard)
{
    if (::mkdir(graveyard.c_str(), 0700) != 0 && errno != EEXIST) {
        return false;
    }
    for (unsigned number = 0;; ++number) {
        const auto grave = graveyard / fmt::format("unsound-{}", number);
        if (::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, grave.c_str(), RENAME_NOREPLACE) == 0) {
            return true;
        }
        if (errno != EEXIST) {
            return false;
        }
    }
}

/// The kernel makes a volume's directory, gives it its attribute, and only then makes directories in it.
bool mend_empty(const fs::path& volume)
{
    std::error_code error;
    const auto value = encode_volume_xattr();
    return fs::is_empty(volume, error) && !error &&
           ::lsetxattr(volume.c_str(), kCacheXattr, value.data(), value.size(), XATTR_CREATE) == 0;
}

void punch_unwritten(const fs::path& path, HygieneReport& report)
{
    const UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    if (!fd) {
        if (errno != ENOENT) {
            problem(report, path, last_error());
        }
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
        problem(report, path, std::error_code{-failed, std::system_category()});
    }
    for (const auto& [begin, end, is_unwritten, is_data] : unwritten) {
        const auto length = static_cast<off_t>(end - begin);
        constexpr int kMode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        if (::fallocate(fd.get(), kMode, static_cast<off_t>(begin), length) != 0) {
            problem(report, path, last_error());
            return;
        }
        report.punched += end - begin;
    }
}

} // namespace

void HygieneReport::add(HygieneReport other)
{
    std::move(other.removed.begin(), other.removed.end(), std::back_inserter(removed));
    std::move(other.problems.begin(), other.problems.end(), std::back_inserter(problems));
    kept += other.kept;
    punched += other.punched;
}

HygieneReport Hygiene::make_mountable() const
{
    HygieneReport report;
    for (const auto& volume : directories_named(cache_dir_ / "cache", 'I', report)) {
        if (judge(volume, check_volume_xattr, report) != Verdict::kUnsound) {
            continue;
        }
        if (mend_empty(volume)) {
            continue;
        }
        if (bury(volume, cache_dir_ / "graveyard")) {
            report.removed.push_back(volume);
        } else {
            problem(report, volume, last_error());
        }
    }
    for (const auto& file : entries(private_dir_, report)) {
        (void)remove(file, report);
    }
    return report;
}

std::vector<fs::path> Hygiene::directories(HygieneReport& report) const
{
    std::vector<fs::path> all;
    for (const auto& volume : directories_named(cache_dir_ / "cache", 'I', report)) {
        auto found = directories_named(volume, '@', report);
        std::move(found.begin(), found.end(), std::back_inserter(all));
    }
    return all;
}

std::vector<fs::path> Hygiene::files(const fs::path& directory, HygieneReport& report)
{
    return entries(directory, report);
}

HygieneReport Hygiene::look(const fs::path& file)
{
    HygieneReport report;
    const auto valid = [](std::span<const std::byte> value) { return check_file_xattr(value).has_value(); };
    switch (judge(file, valid, report)) {
    case Verdict::kSound:
        ++report.kept;
        punch_unwritten(file, report);
        break;
    case Verdict::kUnsound:
        if (remove(file, report)) {
            report.removed.push_back(file);
        }
        break;
    case Verdict::kUnknown:
        break;
    }
    return report;
}

HygieneReport Hygiene::empty_graveyard() const
{
    HygieneReport report;
    for (const auto& path : entries(cache_dir_ / "graveyard", report)) {
        if (remove(path, report)) {
            report.removed.push_back(path);
        }
    }
    return report;
}

} // namespace sluice::protocol
