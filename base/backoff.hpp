// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <optional>

namespace sluice {

struct BackoffPolicy {
    milliseconds first{100};                  ///< before the second try
    milliseconds longest{5000};               ///< ceiling of the exponential part
    milliseconds longest_retry_after{60'000}; ///< a server's wish beyond this is cut
    unsigned tries = 5;                       ///< in all, the first included
};

/// How long to wait before try number `attempt + 1`, `attempt` (>= 1) having failed; nothing when no try is left.
/// Doubles from `first` up to `longest`; the upper half of it is scaled by `random` (all 32 bits used), so that nodes
/// that failed together do not come back together. `retry_after` is a floor. Pure.
[[nodiscard]] std::optional<milliseconds> backoff_delay(
    const BackoffPolicy& policy, unsigned attempt, std::optional<milliseconds> retry_after, std::uint32_t random
) noexcept;

} // namespace sluice
