// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/restart_policy.hpp"

#include <algorithm>

namespace sluice::daemon {

std::optional<milliseconds> RestartPolicy::ended(const Ending& ending)
{
    ever_ready_ = ever_ready_ || ending.was_ready;
    if (ending.was_ready && ending.served >= kServed) {
        failures_ = 0;
    }
    if (ending.was_ready && (ending.killed || ending.served >= kServed)) {
        return milliseconds{0};
    }
    ++failures_;
    if (failures_ >= (ever_ready_ ? kMostLater : kMostAtStart)) {
        return std::nullopt;
    }
    const unsigned doublings = std::min(failures_ - 1, 10U);
    return std::min(kFirst * (1U << doublings), kLongest);
}

} // namespace sluice::daemon
