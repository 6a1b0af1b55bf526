// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <string>
#include <sys/types.h>
#include <vector>

namespace sluice::daemon {

struct KeptDescriptor {
    std::string name;
    UniqueFd descriptor;
};

/// How many descriptors are kept at most.
inline constexpr std::size_t kMostKept = 64;

/// Starts `command` (the program's path first) as systemd starts a service: with LISTEN_FDS and the kept descriptors,
/// NOTIFY_SOCKET, WATCHDOG_USEC and FDSTORE in its environment, and no signal blocked. It gets SIGINT when this
/// process dies: nobody would keep anything for it any more. Only for processes without threads.
[[nodiscard]] Result<pid_t> start_child(
    const std::vector<std::string>& command,
    const std::vector<KeptDescriptor>& kept,
    const std::string& notify_socket,
    milliseconds watchdog
);

} // namespace sluice::daemon
