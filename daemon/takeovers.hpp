// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/fd_store.hpp"

#include <cstdint>

namespace sluice::daemon {

/// How many daemons before this one have left something to their successors: noted in memory that is handed on. Counts
/// this process. 0 where nobody keeps descriptors, and for the first daemon.
[[nodiscard]] std::uint64_t count_takeover(FdStore& descriptors);

} // namespace sluice::daemon
