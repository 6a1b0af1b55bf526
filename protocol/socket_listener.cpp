// SPDX-License-Identifier: Apache-2.0
#include "protocol/socket_listener.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice::protocol {

namespace {

UniqueFd seqpacket()
{
    return UniqueFd{kAdoptFd, ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

/// What connect() and bind() want for an address.
const sockaddr* generic(const sockaddr_un& address) noexcept
{
    return static_cast<const sockaddr*>(static_cast<const void*>(&address));
}

} // namespace

Result<UniqueFd> listen_seqpacket(const std::filesystem::path& path, mode_t mode, std::optional<gid_t> group)
{
    const auto failed = [&path](const char* what) {
        return fail_errno(errno, fmt::format("library socket {}: {}", path.string(), what));
    };
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto& name = path.native();
    if (name.size() >= sizeof address.sun_path) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("library socket {}: longer than {} bytes", name, sizeof address.sun_path - 1)
        );
    }
    std::memcpy(address.sun_path, name.data(), name.size());
    const auto probe = seqpacket();
    if (probe && (::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN)) {
        return fail(
            ErrorKind::kInternal,
            fmt::format("library socket {}: another sluiced answers on it; stop that one first", name)
        );
    }

    struct stat info {};

    if (::lstat(name.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
        ::unlink(name.c_str());
    }
    auto fd = seqpacket();
    if (!fd) {
        return failed("socket");
    }
    // Nobody may connect between bind() and chmod(): the socket is born with no permissions at all.
    const auto old_mask = ::umask(0777);
    const int bound = ::bind(fd.get(), generic(address), sizeof address);
    ::umask(old_mask);
    if (bound != 0) {
        return failed("bind");
    }
    if (group && ::chown(name.c_str(), static_cast<uid_t>(-1), *group) != 0) {
        return failed("chown");
    }
    if (::chmod(name.c_str(), mode) != 0) {
        return failed("chmod");
    }
    if (::listen(fd.get(), SOMAXCONN) != 0) {
        return failed("listen");
    }
    return fd;
}

Result<SocketPeer> peer_of(int socket)
{
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        return fail_errno(errno, "SO_PEERCRED");
    }
    SocketPeer peer{credentials.pid, credentials.uid, {credentials.gid}};
    std::vector<gid_t> groups(64);
    for (;;) {
        size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
            groups.resize(size / sizeof(gid_t));
            peer.groups.insert(peer.groups.end(), groups.begin(), groups.end());
            return peer;
        }
        if (errno != ERANGE || size / sizeof(gid_t) <= groups.size()) {
            return fail_errno(errno, "SO_PEERGROUPS");
        }
        groups.resize(size / sizeof(gid_t)); // the kernel has said how many there are
    }
}

} // namespace sluice::protocol
