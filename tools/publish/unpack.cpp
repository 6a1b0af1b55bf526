// SPDX-License-Identifier: Apache-2.0
#include "tools/publish/unpack.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <string>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace sluice::tools {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::int64_t kSecond = 1'000'000'000;

// Everything below `root`, a directory before what it holds. Links are not followed.
Result<std::vector<fs::path>> all_below(const fs::path& root)
{
    std::vector<fs::path> paths;
    std::error_code error;
    for (fs::recursive_directory_iterator it{root, error}, end; !error && it != end; it.increment(error)) {
        paths.push_back(it->path());
    }
    if (error) {
        return fail_errno(error.value(), "read directory " + printable(root.string()));
    }
    return paths;
}

Result<void> set_modified(const fs::path& file, std::int64_t when)
{
    const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, timespec{when / kSecond, when % kSecond}};
    if (::utimensat(AT_FDCWD, file.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
        return fail_errno(errno, "set time of " + printable(file.string()));
    }
    return {};
}

Result<void> convert_one(const fs::path& file)
{
    const auto name = file.filename().string();
    const auto directory = file.parent_path();
    const auto before = modified_at(directory);
    if (!before) {
        return fail(before.error());
    }
    if (::unlink(file.c_str()) != 0) {
        return fail_errno(errno, "whiteout " + printable(file.string()));
    }
    if (name == kOpaque) {
        if (::setxattr(directory.c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0) {
            return fail_errno(errno, fmt::format("mark {} as opaque (needs root)", printable(directory.string())));
        }
    } else if (!name.starts_with(".wh..wh.")) { // other names of that kind are aufs's own bookkeeping
        const auto hidden = name.substr(kWhiteout.size());
        if (hidden.empty() || hidden == "." || hidden == "..") {
            return fail(ErrorKind::kInvalid, fmt::format("whiteout {}: it hides no name", printable(file.string())));
        }
        const auto device = directory / hidden;
        if (::mknod(device.c_str(), S_IFCHR | 0600, makedev(0, 0)) == 0) {
            if (auto set = set_modified(device, 0); !set) { // not the time of the unpacking
                return set;
            }
        } else if (errno != EEXIST) { // what the same layer holds hides what is below all the same
            return fail_errno(errno, "whiteout " + printable(device.string()));
        }
    }
    return set_modified(directory, *before);
}

} // namespace

Result<std::int64_t> modified_at(const fs::path& file)
{
    struct stat status {};

    if (::lstat(file.c_str(), &status) != 0) {
        return fail_errno(errno, printable(file.string()));
    }
    return status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec;
}

Result<std::uint64_t> convert_whiteouts(const fs::path& root)
{
    const auto paths = all_below(root);
    if (!paths) {
        return fail(paths.error());
    }
    std::uint64_t count = 0;
    for (const auto& path : *paths) {
        struct stat status {};

        if (!path.filename().string().starts_with(kWhiteout) || ::lstat(path.c_str(), &status) != 0) {
            continue;
        }
        if (S_ISDIR(status.st_mode)) {
            continue; // aufs kept directories of such names; nothing of a layer has them
        }
        if (auto converted = convert_one(path); !converted) {
            return fail(converted.error());
        }
        ++count;
    }
    return count;
}

Result<void> settle_directory_times(const fs::path& root, std::int64_t started)
{
    auto paths = all_below(root);
    if (!paths) {
        return fail(paths.error());
    }
    paths->insert(paths->begin(), root);
    std::reverse(paths->begin(), paths->end()); // what a directory holds before the directory
    for (const auto& path : *paths) {
        struct stat status {};

        if (::lstat(path.c_str(), &status) != 0) {
            return fail_errno(errno, printable(path.string()));
        }
        if (!S_ISDIR(status.st_mode) || status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec < started) {
            continue;
        }
        std::int64_t newest = 0;
        std::error_code error;
        for (fs::directory_iterator it{path, error}, end; !error && it != end; it.increment(error)) {
            const auto when = modified_at(it->path());
            if (!when) {
                return fail(when.error());
            }
            newest = std::max(newest, *when);
        }
        if (error) {
            return fail_errno(error.value(), "read directory " + printable(path.string()));
        }
        if (auto set = set_modified(path, newest); !set) {
            return set;
        }
    }
    return {};
}

Result<std::int64_t> newest_change(const fs::path& root)
{
    auto paths = all_below(root);
    if (!paths) {
        return fail(paths.error());
    }
    paths->push_back(root);
    std::int64_t newest = 0;
    for (const auto& path : *paths) {
        const auto when = modified_at(path);
        if (!when) {
            return fail(when.error());
        }
        newest = std::max(newest, *when);
    }
    return (newest + kSecond - 1) / kSecond;
}

} // namespace sluice::tools
