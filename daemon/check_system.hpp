// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/config/config.hpp"
#include "protocol/kernel_io.hpp"
#include "protocol/system_probe.hpp"

#include <string>
#include <vector>

namespace sluice::daemon {

/// What `sluiced --check-system` found.
struct SystemReport {
    std::vector<protocol::ProbeResult> results;
    std::string front_end; ///< that the daemon would take, "none" if so configured; empty: nothing works
    bool able = false;     ///< an image could be served
};

/// Asks everything that the configured front ends need; without any, what the cache needs. The faults of a front end
/// that another one stands in for are warnings.
[[nodiscard]] SystemReport check_system(protocol::KernelIo& io, const Config& config);

/// The decision alone: pure.
[[nodiscard]] SystemReport judge_system(
    FrontEndMode mode,
    std::vector<protocol::ProbeResult> cachefiles,
    std::vector<protocol::ProbeResult> fuse,
    std::vector<protocol::ProbeResult> common
);

} // namespace sluice::daemon
