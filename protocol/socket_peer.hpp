// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <sys/types.h>
#include <vector>

namespace sluice::protocol {

/// Who is at the other end of a connected Unix socket, as the kernel says.
struct SocketPeer {
    pid_t pid = -1;
    uid_t uid = static_cast<uid_t>(-1);
    std::vector<gid_t> groups; ///< all that the process was in when it connected
};

[[nodiscard]] Result<SocketPeer> peer_of(int socket);

} // namespace sluice::protocol
