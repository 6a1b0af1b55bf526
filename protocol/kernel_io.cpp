// SPDX-License-Identifier: Apache-2.0
#include "protocol/kernel_io.hpp"

#include "base/text.hpp"
#include "protocol/uapi.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sluice::protocol {

bool is_object_link(std::string_view link) noexcept
{
    return link == "anon_inode:[cachefiles]";
}

int SyscallKernelIo::open_device()
{
    const int fd = ::open(device_path_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

ssize_t SyscallKernelIo::read(int device, std::span<std::byte> buffer)
{
    const auto got = ::read(device, buffer.data(), buffer.size());
    return got < 0 ? -errno : got;
}

int SyscallKernelIo::write(int device, std::string_view command)
{
    const auto written = ::write(device, command.data(), command.size());
    if (written < 0) {
        return -errno;
    }
    return static_cast<std::size_t>(written) == command.size() ? 0 : -EIO;
}

Result<UniqueFd> SyscallKernelIo::adopt_object(int fd)
{
    std::array<char, 64> link{};
    const auto path = fmt::format("/proc/self/fd/{}", fd);
    const auto length = ::readlink(path.c_str(), link.data(), link.size());
    if (length < 0) {
        return fail_errno(errno, path);
    }
    const std::string_view target{link.data(), static_cast<std::size_t>(length)};
    if (!is_object_link(target)) {
        return fail(ErrorKind::kInvalid, fmt::format("descriptor {} is {}", fd, printable(target)), EBADF);
    }
    UniqueFd owned{kAdoptFd, fd};
    // The kernel makes it without close-on-exec. A child that is forked off before this line would keep the cache
    // pinned; the daemon therefore starts no children from other threads.
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return fail_errno(errno, "cannot make an object's descriptor close-on-exec");
    }
    return owned;
}

int SyscallKernelIo::read_complete(int object, MessageId message)
{
    const auto id = static_cast<unsigned long>(message.value);
    return ::ioctl(object, uapi::kReadComplete, id) != 0 ? -errno : 0; // NOLINT(cppcoreguidelines-pro-type-vararg)
}

off_t SyscallKernelIo::end(int object)
{
    const auto found = ::lseek(object, 0, SEEK_END);
    return found < 0 ? -errno : found;
}

ssize_t SyscallKernelIo::pwrite(int object, std::span<const std::byte> data, std::uint64_t offset)
{
    const auto written = ::pwrite(object, data.data(), data.size(), static_cast<off_t>(offset));
    return written < 0 ? -errno : written;
}

off_t SyscallKernelIo::first_hole(int object, std::uint64_t offset)
{
    const auto found = ::lseek(object, static_cast<off_t>(offset), SEEK_HOLE);
    return found < 0 ? -errno : found;
}

FileRun SyscallKernelIo::probe(int object, std::uint64_t offset, std::uint64_t length)
{
    return probe_fd(object, offset, length);
}

int SyscallKernelIo::space(const std::string& path, struct statvfs& out)
{
    return ::statvfs(path.c_str(), &out) != 0 ? -errno : 0;
}

} // namespace sluice::protocol
