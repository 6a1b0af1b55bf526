// SPDX-License-Identifier: Apache-2.0
#include "lib/link.hpp"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

namespace sluice::lib {

int Link::open(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return -ENAMETOOLONG;
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd{kAdoptFd, ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd) {
        return -errno;
    }
    const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    if (::connect(fd.get(), generic, sizeof address) != 0) {
        return -errno; // EAGAIN: too many wait to be accepted
    }
    fd_ = std::move(fd);
    return 0;
}

int Link::send(std::span<const std::byte> message) const
{
    ssize_t done = -1;
    do {
        done = ::send(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (done < 0 && errno == EINTR);
    if (done >= 0) {
        return 0;
    }
    return errno == ENOBUFS || errno == ENOMEM ? -EAGAIN : -errno;
}

int Link::receive(Message& out)
{
    constexpr std::size_t kMostFds = 4;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control{};
    iovec part{buffer_.data(), buffer_.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    ssize_t got = -1;
    do {
        got = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return -errno;
    }
    out.fd.reset();
    for (auto* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const auto count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(item) + i * sizeof number, sizeof number);
            UniqueFd fd{kAdoptFd, number};
            if (!out.fd) {
                out.fd = std::move(fd);
            }
        }
    }
    out.fd_lost = !out.fd && (header.msg_flags & MSG_CTRUNC) != 0;
    if (got == 0) {
        return -ECONNRESET;
    }
    if ((header.msg_flags & MSG_TRUNC) != 0) {
        return -EPROTO;
    }
    out.bytes = std::span{buffer_}.first(static_cast<std::size_t>(got));
    return 0;
}

} // namespace sluice::lib
