// SPDX-License-Identifier: Apache-2.0
#include "protocol/socket_peer.hpp"

#include <cerrno>
#include <sys/socket.h>

namespace sluice::protocol {

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
