// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <filesystem>
#include <optional>
#include <sys/types.h>
#include <vector>

namespace sluice::protocol {

/// A non-blocking SOCK_SEQPACKET listener at `path`. A socket file on which nobody answers is left over from a crash
/// and is replaced; one on which somebody answers is an error. The file belongs to `group` where one is given.
[[nodiscard]] Result<UniqueFd>
listen_seqpacket(const std::filesystem::path& path, mode_t mode, std::optional<gid_t> group);

/// Who is at the other end of a connected Unix socket, as the kernel says.
struct SocketPeer {
    pid_t pid = -1;
    uid_t uid = static_cast<uid_t>(-1);
    std::vector<gid_t> groups; ///< all that the process was in when it connected
};

[[nodiscard]] Result<SocketPeer> peer_of(int socket);

} // namespace sluice::protocol
