// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/read_stats.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace sluice::daemon {

void ReadStats::note(SteadyClock::duration took, const Result<void>& outcome)
{
    const auto limit = std::lower_bound(kLimits.begin(), kLimits.end(), Seconds{took});
    ++classes_[static_cast<std::size_t>(std::distance(kLimits.begin(), limit))];
    total_ += took;
    if (outcome) {
        ++served_;
    } else {
        ++failed_[outcome.error().kind()];
    }
}

std::array<std::uint64_t, ReadStats::kLimits.size() + 1> ReadStats::up_to_each_limit() const noexcept
{
    auto sums = classes_;
    std::partial_sum(sums.begin(), sums.end(), sums.begin());
    return sums;
}

} // namespace sluice::daemon
