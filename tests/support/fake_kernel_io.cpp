// SPDX-License-Identifier: Apache-2.0
//
// The fake kernel as the daemon meets it: read(2), the ioctl, and the objects' descriptors.
#include "base/byte_range.hpp"
#include "protocol/block_io.hpp"
#include "tests/support/fake_kernel_state.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::test {

namespace uapi = protocol::uapi;

int FakeKernelState::open_device()
{
    const MutexLock lock{mutex};
    if (options.open_error != 0) {
        return -options.open_error;
    }
    if (kernel_end) {
        pollfd other{kernel_end.get(), POLLIN, 0};
        const bool gone = ::poll(&other, 1, 0) > 0 && (other.revents & POLLHUP) != 0;
        if (!gone) {
            if (busy_hook) {
                busy_hook();
            }
            return -EBUSY;
        }
    }
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0) {
        return -errno;
    }
    kernel_end.reset(pair[1]);
    constexpr int kRoom = 4 * 1024 * 1024; // thousands of messages at once; what the system allows of it
    (void)::setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &kRoom, sizeof kRoom);
    bound = false;
    dead = false;
    mode_ondemand = false;
    dir.clear();
    tag.clear();
    secctx.clear();
    limits = {7, 5, 1, 7, 5, 1};
    return pair[0];
}

ssize_t FakeKernelState::read(int device, std::span<std::byte> buffer)
{
    std::vector<std::byte> message(uapi::kMessageMax * 2);
    for (;;) {
        message.resize(uapi::kMessageMax * 2);
        const auto got = ::recv(device, message.data(), message.size(), MSG_DONTWAIT);
        if (got <= 0) {
            return got < 0 && errno != EAGAIN ? -errno : 0;
        }
        message.resize(static_cast<std::size_t>(got));
        const MutexLock lock{mutex};
        flush_backlog();
        const int code = deliver(message);
        if (code == ECANCELED) {
            continue; // forgotten while it was queued
        }
        if (code == EAGAIN) {
            return 0;
        }
        if (code != 0) {
            return -code;
        }
        if (message.size() > buffer.size()) {
            requeue(message);
            return -EMSGSIZE;
        }
        std::memcpy(buffer.data(), message.data(), message.size());
        return static_cast<ssize_t>(message.size());
    }
}

/// What did not fit stays chosen. (An OPEN's descriptor is not to be made twice: what is put back is as delivered.)
void FakeKernelState::requeue(std::vector<std::byte> message)
{
    message.push_back(static_cast<std::byte>(Kind::kRaw));
    backlog.push_front(std::move(message));
    flush_backlog();
}

int FakeKernelState::deliver(std::vector<std::byte>& message)
{
    const auto kind = static_cast<Kind>(message.back());
    message.pop_back();
    if (kind == Kind::kNothing) {
        return EAGAIN;
    }
    if (kind == Kind::kError) {
        return std::to_integer<int>(message.front());
    }
    if (kind == Kind::kRaw) {
        return 0;
    }
    uapi::MessageHeader header{};
    std::memcpy(&header, message.data(), sizeof header);
    const auto at = requests.find(header.msg_id);
    if (at == requests.end()) {
        return ECANCELED;
    }
    const auto request = at->second;
    if (request->opcode != header.opcode || request->delivered) {
        return ECANCELED; // its id was taken by another since
    }
    if (request->opcode == uapi::kOpOpen) {
        return deliver_open(request, message);
    }
    request->delivered = true;
    header.object_id = request->object->id;
    std::memcpy(message.data(), &header, sizeof header);
    if (request->opcode == uapi::kOpClose) {
        finish(request, 0);
        fail_all(request->object, uapi::kOpRead, EIO);
        request->object->state = FakeObjectState::kClosed;
        changed.notify_all();
    }
    return 0;
}

int FakeKernelState::deliver_open(const FakeRequestPtr& request, std::vector<std::byte>& message)
{
    const auto object = request->object;
    refresh(object);
    const auto give_up = [&](int code) {
        mutex.assert_held();
        object->state = FakeObjectState::kFailed;
        object->error = code;
        finish(request, code);
        fail_all(object, uapi::kOpRead, EIO);
        changed.notify_all();
        return code;
    };
    if (object->read_failure != 0) {
        return give_up(object->read_failure);
    }
    if (object->fd >= 0) {
        return give_up(EEXIST); // delivered again by restore while its descriptor is open
    }
    const int extra = options.direct_io ? O_DIRECT : 0;
    if (!object->own) { // readers probe through it meanwhile
        object->own.reset(::open(object->file.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    const int fd = ::open(object->file.c_str(), O_WRONLY | extra); // NOLINT(android-cloexec-open): the kernel's is so
    if (!object->own || fd < 0) {
        if (fd >= 0) {
            ::close(fd);
        }
        return give_up(errno);
    }
    object->fd = fd;
    object->id = next_object++;
    by_number[fd] = object;
    request->delivered = true;
    uapi::MessageHeader header{};
    std::memcpy(&header, message.data(), sizeof header);
    header.object_id = object->id;
    std::memcpy(message.data(), &header, sizeof header);
    const auto number = static_cast<std::uint32_t>(fd);
    std::memcpy(message.data() + sizeof header + offsetof(uapi::OpenBody, fd), &number, sizeof number);
    if (object->spoil) {
        object->spoil(message);
    }
    return 0;
}

Result<UniqueFd> FakeKernelState::adopt_object(int fd)
{
    const MutexLock lock{mutex};
    const auto object = by_fd(fd);
    if (!object || !alive(object)) {
        return fail(ErrorKind::kInvalid, "not a descriptor of the fake kernel's", EBADF);
    }
    (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
    return UniqueFd{kAdoptFd, fd};
}

int FakeKernelState::read_complete(int object, MessageId message)
{
    const MutexLock lock{mutex};
    const auto owner = by_fd(object);
    const auto at = requests.find(message.value);
    const bool fits = at != requests.end() && owner && at->second->object == owner && at->second->delivered &&
                      at->second->opcode == uapi::kOpRead;
    if (!fits) {
        ++counts.stale_completes;
        return -EINVAL;
    }
    ++counts.completes;
    const auto request = at->second;
    // The reader looks again, and what it wants first must be there.
    const auto begin = request->offset & ~(kBlockSize - 1);
    const auto run = protocol::probe_fd(owner->own.get(), begin, kBlockSize);
    finish(request, run.error == 0 && run.present ? 0 : EIO);
    return 0;
}

off_t FakeKernelState::end(int object)
{
    const MutexLock lock{mutex};
    const auto owner = by_fd(object);
    if (!owner || (owner->state != FakeObjectState::kOpen && owner->state != FakeObjectState::kReopening)) {
        return -ENOBUFS;
    }
    const auto found = ::lseek(object, 0, SEEK_END);
    return found < 0 ? -errno : found;
}

ssize_t FakeKernelState::pwrite(int object, std::span<const std::byte> data, std::uint64_t offset)
{
    std::function<std::int64_t(std::uint64_t, std::size_t)> hook;
    {
        const MutexLock lock{mutex};
        const auto owner = by_fd(object);
        const bool open =
            owner && (owner->state == FakeObjectState::kOpen || owner->state == FakeObjectState::kReopening);
        if (!open || offset % kBlockSize != 0) {
            ++counts.bad_writes;
            return -ENOBUFS;
        }
        if (!protocol::check_aligned(offset, data)) {
            ++counts.bad_writes;
            return -EINVAL;
        }
        ++counts.writes;
        counts.bytes_written += data.size();
        hook = pwrite_hook;
    }
    auto size = data.size();
    if (hook) {
        const auto result = hook(offset, size);
        if (result < 0) {
            return static_cast<ssize_t>(result);
        }
        if (result > 0) {
            size = static_cast<std::size_t>(result); // a short write
        }
    }
    const auto written = ::pwrite(object, data.data(), size, static_cast<off_t>(offset));
    return written < 0 ? -errno : written;
}

off_t FakeKernelState::first_hole(int object, std::uint64_t offset)
{
    const auto found = ::lseek(object, static_cast<off_t>(offset), SEEK_HOLE);
    return found < 0 ? -errno : found;
}

protocol::FileRun FakeKernelState::probe(int object, std::uint64_t offset, std::uint64_t length)
{
    {
        const MutexLock lock{mutex};
        const auto owner = by_fd(object);
        if (!owner || owner->state == FakeObjectState::kOpening || owner->state == FakeObjectState::kClosed) {
            return {ENOBUFS, false, 0};
        }
    }
    return protocol::probe_fd(object, offset, length);
}

int FakeKernelState::space(const std::string&, struct statvfs& out)
{
    const MutexLock lock{mutex};
    if (::statvfs(directory.c_str(), &out) != 0) {
        return -errno;
    }
    if (free_per_cent >= 0) {
        out.f_bavail = out.f_blocks / 100 * static_cast<fsblkcnt_t>(free_per_cent);
    }
    return 0;
}

} // namespace sluice::test
