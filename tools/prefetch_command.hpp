// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "tools/control_api.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice::tools {

struct PrefetchOutcome {
    std::string reference;     ///< in full
    std::uint64_t bytes = 0;   ///< of the image, all of which are in the cache now
    std::uint64_t fetched = 0; ///< of those, what came just now
};

/// Brings all of an image's data into the cache, and registers it where it is not. Shows a bar with the rate and the
/// time left where standard error is a terminal. Blocks.
[[nodiscard]] Result<PrefetchOutcome> run_prefetch(ControlApi& daemon, const std::string& reference);

/// "12.3 MiB/s 0:42": what came in `elapsed`, and how long what is `missing` takes at that rate; without the time where
/// nothing came yet. Pure.
[[nodiscard]] std::string
describe_rate(std::uint64_t came, std::uint64_t missing, std::chrono::duration<double> elapsed);

} // namespace sluice::tools
