// SPDX-License-Identifier: Apache-2.0
//
// What cachefiles needs of the file system below the cache, tried out in a file without a name. Holes above all: where
// a hole is not told from data, the kernel would serve zeros for it.
#include "base/aligned_buffer.hpp"
#include "base/byte_range.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "protocol/file_handle.hpp"
#include "protocol/system_probe.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sluice::protocol {

namespace {

struct KnownFilesystem {
    std::uint64_t magic;
    std::string_view name;
    ProbeStatus status;
};

constexpr std::array<KnownFilesystem, 12> kKnown{{
    {0xef53, "ext4", ProbeStatus::kOk},
    {0x58465342, "XFS", ProbeStatus::kOk},
    {0x9123683e, "btrfs", ProbeStatus::kWarning},
    {0xf2f52010, "F2FS", ProbeStatus::kWarning},
    {0x01021994, "tmpfs", ProbeStatus::kFailed},
    {0x858458f6, "ramfs", ProbeStatus::kFailed},
    {0x794c7630, "overlayfs", ProbeStatus::kFailed},
    {0x6969, "NFS", ProbeStatus::kFailed},
    {0xff534d42, "CIFS", ProbeStatus::kFailed},
    {0xfe534d42, "SMB", ProbeStatus::kFailed},
    {0x65735546, "FUSE", ProbeStatus::kFailed},
    {0xe0f5e1e2, "EROFS, which may be served by this very daemon", ProbeStatus::kFailed},
}};

ProbeResult failed(std::string text, std::string advice)
{
    return {"cache-dir", ProbeStatus::kFailed, std::move(text), std::move(advice)};
}

ProbeResult ok(std::string name, std::string text)
{
    return {std::move(name), ProbeStatus::kOk, std::move(text), {}};
}

const char* const kElsewhere = "put the cache on ext4 or XFS";

ProbeResult probe_xattr(int fd)
{
    constexpr char kValue = 1;
    if (::fsetxattr(fd, "user.sluice.probe", &kValue, sizeof kValue, 0) == 0) {
        return ok("xattr", "user attributes can be set");
    }
    return {
        "xattr",
        ProbeStatus::kFailed,
        fmt::format("user attributes cannot be set: {}", std::system_category().message(errno)),
        "mount the file system with user_xattr, or put the cache on ext4 or XFS"};
}

ProbeResult probe_direct(int fd)
{
    const int flags = ::fcntl(fd, F_GETFL);
    if (::fcntl(fd, F_SETFL, flags | O_DIRECT) == 0) {
        return ok("direct-io", "O_DIRECT is there");
    }
    return {"direct-io", ProbeStatus::kFailed, "the file system has no O_DIRECT", kElsewhere};
}

/// One block of data in the middle of nothing must be found to be exactly that.
ProbeResult probe_holes(FileHandle& file)
{
    constexpr std::uint64_t kAt = 64 * 1024;
    constexpr std::uint64_t kEnd = 1024 * 1024;
    auto block = AlignedBuffer::allocate(kBlockSize);
    block.set_size(kBlockSize);
    std::memset(block.bytes().data(), 0x5a, kBlockSize);
    if (::ftruncate(file.fd(), static_cast<off_t>(kEnd)) != 0) {
        return {"holes", ProbeStatus::kFailed, std::system_category().message(errno), kElsewhere};
    }
    if (const auto written = file.write(kAt, block.bytes()); !written) {
        return {"holes", ProbeStatus::kFailed, written.error().text(), "free some space, or put the cache elsewhere"};
    }
    const auto missing = file.missing({0, kEnd});
    const std::vector<ByteRange> expected{{0, kAt}, {kAt + kBlockSize, kEnd}};
    if (missing && *missing == expected) {
        return ok("holes", "holes are found exactly");
    }
    return {"holes", ProbeStatus::kFailed, "holes in files are not found exactly; readers would get zeros", kElsewhere};
}

/// Blocks that are allocated and not yet written, as they are during each write into a hole and after a crash, must not
/// be taken for data by us, whatever is in memory. The kernel's own way of looking takes them for it.
ProbeResult probe_unwritten(const FileHandle& file)
{
    constexpr ByteRange kRange{128 * 1024, 192 * 1024};
    std::array<std::byte, kBlockSize> block{};
    const int flags = ::fcntl(file.fd(), F_GETFL);
    const auto begin = static_cast<off_t>(kRange.begin());
    if (::fallocate(file.fd(), FALLOC_FL_KEEP_SIZE, begin, static_cast<off_t>(kRange.size())) != 0) {
        return ok("unwritten", "nothing is allocated before it is written");
    }
    const bool in_memory = ::fcntl(file.fd(), F_SETFL, flags & ~O_DIRECT) == 0 &&
                           ::pread(file.fd(), block.data(), block.size(), begin) == ssize_t{kBlockSize};
    (void)::fcntl(file.fd(), F_SETFL, flags);
    const auto missing = file.missing(kRange);
    if (in_memory && missing && *missing == std::vector<ByteRange>{kRange}) {
        return ok("unwritten", "what was not written is told from data");
    }
    return {
        "unwritten",
        ProbeStatus::kFailed,
        "blocks that were allocated and not written are taken for data; readers could get zeros",
        kElsewhere};
}

} // namespace

ProbeResult judge_filesystem(std::uint64_t magic, const std::string& directory)
{
    for (const auto& known : kKnown) {
        if (known.magic != magic) {
            continue;
        }
        auto text = fmt::format("{} is on {}", printable(directory), known.name);
        if (known.status == ProbeStatus::kOk) {
            return ok("filesystem", std::move(text));
        }
        if (known.status == ProbeStatus::kWarning) {
            return {"filesystem", known.status, std::move(text), "not tested well: without compression it should do"};
        }
        return {"filesystem", known.status, std::move(text), kElsewhere};
    }
    return {
        "filesystem",
        ProbeStatus::kWarning,
        fmt::format("{} is on a file system that is not known here ({:#x})", printable(directory), magic),
        kElsewhere};
}

std::vector<ProbeResult> probe_cache_dir(const std::filesystem::path& directory)
{
    struct statfs kind {};

    struct statvfs space {};

    if (::statfs(directory.c_str(), &kind) != 0 || ::statvfs(directory.c_str(), &space) != 0) {
        auto text = fmt::format("{}: {}", printable(directory.string()), std::system_category().message(errno));
        return {failed(std::move(text), "make the directory, or set 'dir'")};
    }
    std::vector<ProbeResult> results;
    results.push_back(judge_filesystem(static_cast<std::uint32_t>(kind.f_type), directory.string()));
    if ((space.f_flag & ST_RDONLY) != 0) {
        results.push_back(failed("the file system is mounted read-only", "remount it writable"));
        return results;
    }
    if (space.f_bsize > kBlockSize) {
        results.push_back(failed(fmt::format("blocks of {} bytes", space.f_bsize), "4096 bytes is the most"));
    }
    UniqueFd fd{kAdoptFd, ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    if (!fd) {
        auto text = fmt::format("no file without a name can be made: {}", std::system_category().message(errno));
        results.push_back(failed(std::move(text), errno == EACCES ? "run as root" : kElsewhere));
        return results;
    }
    results.push_back(ok("cache-dir", fmt::format("{} is writable", printable(directory.string()))));
    results.push_back(probe_xattr(fd.get()));
    results.push_back(probe_direct(fd.get()));
    FileHandle file{std::move(fd), directory / "(probe)", true};
    results.push_back(probe_holes(file));
    results.push_back(probe_unwritten(file));
    return results;
}

} // namespace sluice::protocol
