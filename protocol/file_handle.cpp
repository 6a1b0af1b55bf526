// SPDX-License-Identifier: Apache-2.0
#include "protocol/file_handle.hpp"

#include "protocol/block_io.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits>
#include <unistd.h>
#include <utility>

namespace sluice::protocol {

Result<std::shared_ptr<FileHandle>> FileHandle::open(const std::filesystem::path& path, std::uint64_t size)
{
    return open_with(O_CREAT, path, size);
}

Result<std::shared_ptr<FileHandle>> FileHandle::open_existing(const std::filesystem::path& path, std::uint64_t size)
{
    return open_with(0, path, size);
}

Result<std::shared_ptr<FileHandle>>
FileHandle::open_with(int flags, const std::filesystem::path& path, std::uint64_t size)
{
    flags |= O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    constexpr auto kSizeMax = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - kBlockSize;
    if (size > kSizeMax) {
        return fail_errno(EFBIG, path.string());
    }
    bool direct = true;
    UniqueFd fd{kAdoptFd, ::open(path.c_str(), flags | O_DIRECT, 0600)};
    if (!fd && errno == EINVAL) {
        direct = false;
        fd.reset(::open(path.c_str(), flags, 0600));
    }
    if (!fd) {
        return fail_errno(errno, path.string());
    }
    const auto rounded = ByteRange{0, size}.align_out(kBlockSize).size();
    if (::ftruncate(fd.get(), static_cast<off_t>(rounded)) != 0) {
        return fail_errno(errno, path.string());
    }
    return std::make_shared<FileHandle>(std::move(fd), path, direct);
}

FileHandle::FileHandle(UniqueFd fd, std::filesystem::path path, bool direct)
    : fd_{std::move(fd)}, path_{std::move(path)}, direct_{direct}
{}

Result<void> FileHandle::write(std::uint64_t offset, std::span<const std::byte> data)
{
    const auto call = [this](std::span<const std::byte> piece, std::uint64_t at) -> ssize_t {
        const auto written = ::pwrite(fd_.get(), piece.data(), piece.size(), static_cast<off_t>(at));
        return written < 0 ? -errno : written;
    };
    const auto written = write_blocks(call, offset, data);
    return written ? written : fail(written.error(), path_.string());
}

Result<std::vector<ByteRange>> FileHandle::missing(ByteRange range) const
{
    const auto probe = [this](std::uint64_t at, std::uint64_t size) { return probe_written(fd_.get(), at, size); };
    auto found = find_missing(probe, range);
    if (!found) {
        return fail(found.error(), path_.string());
    }
    return found;
}

Result<void> FileHandle::read(std::uint64_t offset, std::span<std::byte> into) const
{
    for (std::size_t done = 0; done < into.size();) {
        const auto rest = into.subspan(done);
        const auto got = ::pread(fd_.get(), rest.data(), rest.size(), static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(errno, path_.string());
        }
        if (got == 0) {
            return fail(
                ErrorKind::kInternal, fmt::format("{}: it ends before {}", path_.string(), offset + into.size())
            );
        }
        done += static_cast<std::size_t>(got);
    }
    if (!direct_) {
        (void
        )::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(into.size()), POSIX_FADV_DONTNEED);
    }
    return {};
}

Result<void> FileHandle::sync()
{
    if (::fsync(fd_.get()) != 0) {
        return fail_errno(errno, path_.string());
    }
    return {};
}

} // namespace sluice::protocol
