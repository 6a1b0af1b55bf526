// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/blob/counters.hpp"
#include "daemon/control/metrics.hpp"

#include <cstdint>
#include <string>

namespace sluice::daemon {

/// What there is to tell.
struct Exposed {
    const Metrics& metrics;
    const Counters& counters;
    std::uint64_t images = 0;    ///< that are registered
    std::uint64_t takeovers = 0; ///< daemons before this one that have handed on what is mounted
};

/// All metrics in Prometheus' text format; docs/metrics.md lists them. Names follow from the status document's:
/// "sluice", the group unless that is "counters", and the name with its unit at the end; "_total" stands behind
/// counters, and times are in seconds.
[[nodiscard]] std::string expose(const Exposed& exposed);

/// What a metric is called there.
[[nodiscard]] std::string exposed_name(const Metric& metric);

} // namespace sluice::daemon
