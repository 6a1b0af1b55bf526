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

} // namespace sluice::tools
