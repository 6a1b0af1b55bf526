// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/result.hpp"
#include "tools/control_api.hpp"

namespace sluice::tools {

struct TopRequest {
    milliseconds interval{1000};
    unsigned count = 0; ///< pages; 0: until it is stopped on a terminal, one elsewhere
    bool json = false;
};

/// Shows on stdout what the daemon does, a page each interval: over the last one on a terminal, until "q", SIGINT or
/// SIGTERM. Blocks.
[[nodiscard]] Result<void> run_top(ControlApi& daemon, const TopRequest& request);

} // namespace sluice::tools
