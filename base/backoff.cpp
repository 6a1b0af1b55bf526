// SPDX-License-Identifier: Apache-2.0
#include "base/backoff.hpp"

#include <algorithm>

namespace sluice {

std::optional<milliseconds> backoff_delay(
    const BackoffPolicy& policy, unsigned attempt, std::optional<milliseconds> retry_after, std::uint32_t random
) noexcept
{
    if (attempt == 0 || attempt >= policy.tries) {
        return std::nullopt;
    }
    auto ceiling = policy.first;
    for (unsigned i = 1; i < attempt && ceiling < policy.longest; ++i) {
        ceiling *= 2;
    }
    ceiling = std::min(ceiling, policy.longest);
    const auto half = ceiling.count() / 2;
    const auto jitter = static_cast<std::int64_t>((static_cast<std::uint64_t>(half) * random) >> 32);
    auto delay = milliseconds{ceiling.count() - half + jitter};
    if (retry_after) {
        delay = std::max(delay, std::min(*retry_after, policy.longest_retry_after));
    }
    return delay;
}

} // namespace sluice
