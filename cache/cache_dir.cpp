// SPDX-License-Identifier: Apache-2.0
#include "cache/cache_dir.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sstream>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::cache {
namespace {

SpaceLevel level_of(std::uint64_t free, std::uint64_t total, unsigned run, unsigned cull, unsigned stop)
{
    const std::uint64_t hundredth = total / 100;
    if (free < hundredth * stop) {
        return SpaceLevel::kStop;
    }
    if (free < hundredth * cull) {
        return SpaceLevel::kCull;
    }
    return free < hundredth * run ? SpaceLevel::kBelowRun : SpaceLevel::kAmple;
}

/// Makes `name` below `parent` as a directory that nobody else can look into, and opens it.
Result<UniqueFd> private_directory(const UniqueFd& parent, const char* name, const std::string& path)
{
    if (::mkdirat(parent.get(), name, 0700) != 0 && errno != EEXIST) {
        return fail_errno(errno, fmt::format("{}: cannot make this directory", path));
    }
    // A link here could lead anywhere: whoever can write to the parent could have made it before we came.
    UniqueFd fd{kAdoptFd, ::openat(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd) {
        return fail_errno(errno, fmt::format("{}: cannot open this directory", path));
    }
    struct stat about = {};
    if (::fstat(fd.get(), &about) != 0) {
        return fail_errno(errno, path);
    }
    if (about.st_uid != ::geteuid()) {
        return fail(ErrorKind::kDenied, fmt::format("{}: belongs to user {}, not to us", path, about.st_uid));
    }
    if ((about.st_mode & 07777U) != 0700 && ::fchmod(fd.get(), 0700) != 0) {
        return fail_errno(errno, fmt::format("{}: cannot make this directory private", path));
    }
    return fd;
}

/// The lock file: the holder's process id, which is for a message only; the number of the file's inode, so that a copy
/// of the file is told from the file; and the note. One write to one sector, always of the same length, so that it
/// needs no room on a full disk, and is there whole or not at all.
constexpr std::size_t kNoteFileSize = 256;

std::vector<std::string> lines_of(int fd)
{
    std::string text(kNoteFileSize, '\0');
    const auto got = ::pread(fd, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    std::vector<std::string> lines(3);
    std::istringstream in{text};
    for (auto& line : lines) {
        std::getline(in, line);
    }
    return lines;
}

std::string inode_line(int fd)
{
    struct stat about = {};
    return ::fstat(fd, &about) == 0 ? fmt::format("inode {}", about.st_ino) : std::string{};
}

std::string note_in(int fd)
{
    const auto lines = lines_of(fd);
    return lines[1] == inode_line(fd) ? lines[2] : std::string{};
}

std::string holder_of(int fd)
{
    const auto pid = parse_u64(trim(lines_of(fd)[0]));
    return pid ? fmt::format("process {}", *pid) : std::string{"a process that did not leave its number"};
}

Result<UniqueFd> take_lock(const UniqueFd& directory, const std::filesystem::path& root)
{
    UniqueFd lock{kAdoptFd, ::openat(directory.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!lock) {
        return fail_errno(errno, fmt::format("{}/sluice/lock: cannot open", root.string()));
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return fail_errno(errno, fmt::format("{}/sluice/lock: cannot lock", root.string()));
        }
        return fail(
            ErrorKind::kTransient,
            fmt::format("cache directory {} is in use by another sluiced ({})", root.string(), holder_of(lock.get())),
            EBUSY
        );
    }
    return lock;
}

} // namespace

SpaceLevel SpaceFigures::level(const SpaceLimits& limits) const noexcept
{
    const auto by_blocks = level_of(blocks_available, blocks, limits.brun, limits.bcull, limits.bstop);
    const auto by_files = level_of(files_free, files, limits.frun, limits.fcull, limits.fstop);
    return std::max(by_blocks, by_files);
}

std::uint64_t SpaceFigures::bytes_before_stop(const SpaceLimits& limits) const noexcept
{
    const std::uint64_t stop = blocks / 100 * limits.bstop;
    return blocks_available > stop ? (blocks_available - stop) * block_size : 0;
}

CacheDir::CacheDir(std::filesystem::path root, UniqueFd root_fd, UniqueFd lock)
    : root_{std::move(root)}, root_fd_{std::move(root_fd)}, lock_{std::move(lock)}, last_note_{note_in(lock_.get())}
{}

Result<CacheDir> CacheDir::open(const std::filesystem::path& root)
{
    if (!root.is_absolute()) {
        return fail(ErrorKind::kInvalid, fmt::format("cache directory {}: not an absolute path", root.string()));
    }
    UniqueFd root_fd{kAdoptFd, ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!root_fd) {
        return fail_errno(errno, fmt::format("cache directory {}", root.string()));
    }
    struct stat about = {};
    if (::fstat(root_fd.get(), &about) != 0) {
        return fail_errno(errno, fmt::format("cache directory {}", root.string()));
    }
    if (about.st_uid != ::geteuid()) {
        return fail(
            ErrorKind::kDenied,
            fmt::format("cache directory {}: belongs to user {}, not to us", root.string(), about.st_uid)
        );
    }
    if ((about.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fail(
            ErrorKind::kDenied,
            fmt::format(
                "cache directory {}: others may write to it (mode {:04o}); chmod go-w it",
                root.string(),
                about.st_mode & 07777U
            )
        );
    }
    const auto own = (root / "sluice").string();
    auto own_fd = private_directory(root_fd, "sluice", own);
    if (!own_fd) {
        return fail(own_fd.error());
    }
    auto lock = take_lock(*own_fd, root);
    if (!lock) {
        return fail(lock.error());
    }
    for (const char* const name : {"trees", "prefill"}) {
        if (auto made = private_directory(*own_fd, name, own + "/" + name); !made) {
            return fail(made.error());
        }
    }
    CacheDir dir{root, std::move(root_fd), std::move(*lock)};
    if (auto noted = dir.note("in use"); !noted) {
        return fail(noted.error());
    }
    return dir;
}

Result<void> CacheDir::note(std::string_view text) const
{
    auto record = fmt::format("{}\n{}\n{}\n", ::getpid(), inode_line(lock_.get()), text);
    record.resize(kNoteFileSize, '\n');
    const auto written = ::pwrite(lock_.get(), record.data(), record.size(), 0);
    if (written < 0 || ::ftruncate(lock_.get(), kNoteFileSize) != 0 || ::fdatasync(lock_.get()) != 0) {
        return fail_errno(errno, fmt::format("{}/sluice/lock: cannot write", root_.string()));
    }
    if (static_cast<std::size_t>(written) != record.size()) {
        return fail_errno(ENOSPC, fmt::format("{}/sluice/lock: cannot write all of it", root_.string()));
    }
    return {};
}

Result<void> CacheDir::sync() const
{
    if (::syncfs(root_fd_.get()) != 0) {
        return fail_errno(errno, fmt::format("cache directory {}: cannot write it back", root_.string()));
    }
    return {};
}

Result<SpaceFigures> CacheDir::space() const
{
    struct statfs about = {};
    if (::fstatfs(root_fd_.get(), &about) != 0) {
        return fail_errno(errno, fmt::format("cache directory {}: statfs", root_.string()));
    }
    return SpaceFigures{
        .block_size = static_cast<std::uint64_t>(about.f_bsize),
        .blocks = about.f_blocks,
        .blocks_available = about.f_bavail,
        .files = about.f_files,
        .files_free = about.f_ffree,
    };
}

} // namespace sluice::cache
