// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tools/mount_table.hpp"

#include <string>
#include <vector>

namespace sluice::tools {

/// The mount tables of all mount namespaces in which some process lives, this process's own first.
/// A namespace is read once for each distinct root directory, because a chrooted process's table
/// shows only what lies below its root. Needs root (other users' /proc entries). Processes that end
/// meanwhile are skipped; so are those that forbid to be looked into.
[[nodiscard]] Result<std::vector<MountTable>> read_all_mount_tables(const std::string& proc = "/proc");

/// Whether this thread may look into all processes (CAP_SYS_PTRACE), so that no user of a layer is hidden from it.
/// `status` is a file as /proc/thread-self/status. False when that cannot be read.
[[nodiscard]] bool sees_all_processes(const std::string& status = "/proc/thread-self/status");

} // namespace sluice::tools
