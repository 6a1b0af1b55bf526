// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/notify_socket.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace sluice::daemon {

namespace {

constexpr std::size_t kMostText = 4096;
constexpr std::size_t kMostDescriptors = 16; ///< in one message; sluiced sends one

Result<std::filesystem::path> private_directory()
{
    for (const char* pattern : {"/run/sluiced-keeper-XXXXXX", "/tmp/sluiced-keeper-XXXXXX"}) {
        std::string name{pattern};
        if (::mkdtemp(name.data()) != nullptr) {
            return std::filesystem::path{name};
        }
    }
    return fail_errno(errno, "no directory can be made in /run or /tmp");
}

std::vector<std::string> split(std::string_view text)
{
    std::vector<std::string> lines;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        if (end > 0) {
            lines.emplace_back(text.substr(0, end));
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

/// Credentials and descriptors. Whatever the outcome, the descriptors are owned.
void take_control(msghdr& message, Notification& into)
{
    for (auto* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET) {
            continue;
        }
        const auto size = part->cmsg_len - CMSG_LEN(0);
        if (part->cmsg_type == SCM_CREDENTIALS && size == sizeof(ucred)) {
            ucred credentials{};
            std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
            into.from = credentials.pid;
        } else if (part->cmsg_type == SCM_RIGHTS) {
            for (std::size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
                into.descriptors.emplace_back(kAdoptFd, fd);
            }
        }
    }
}

} // namespace

bool Notification::says(std::string_view line) const
{
    return std::find(lines.begin(), lines.end(), line) != lines.end();
}

std::string Notification::value(std::string_view key) const
{
    for (const auto& line : lines) {
        if (line.size() > key.size() && line.compare(0, key.size(), key) == 0 && line[key.size()] == '=') {
            return line.substr(key.size() + 1);
        }
    }
    return {};
}

Result<NotifySocket> NotifySocket::make()
{
    const auto directory = private_directory();
    if (!directory) {
        return fail(directory.error(), "notify socket");
    }
    NotifySocket made{
        *directory / "notify", UniqueFd{kAdoptFd, ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)}};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto& name = made.path_.native();
    std::memcpy(address.sun_path, name.data(), std::min(name.size(), sizeof address.sun_path - 1));
    const int yes = 1;
    if (!made.fd_ || ::setsockopt(made.fd_.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0 ||
        ::bind(made.fd_.get(), static_cast<const sockaddr*>(static_cast<const void*>(&address)), sizeof address) != 0) {
        return fail_errno(errno, "notify socket " + name);
    }
    return made;
}

NotifySocket::~NotifySocket()
{
    if (!path_.empty()) {
        ::unlink(path_.c_str());
        ::rmdir(path_.parent_path().c_str());
    }
}

std::optional<Notification> NotifySocket::receive() const
{
    for (;;) {
        std::array<char, kMostText> text{};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(kMostDescriptors * sizeof(int))>
            control{};
        iovec io{text.data(), text.size()};
        msghdr message{};
        message.msg_iov = &io;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const auto got = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return std::nullopt;
        }
        Notification notification;
        take_control(message, notification);
        if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
            log::warning("a notification of process {} is too large, and ignored", notification.from);
            continue;
        }
        notification.lines = split({text.data(), static_cast<std::size_t>(got)});
        return notification;
    }
}

} // namespace sluice::daemon
