// SPDX-License-Identifier: Apache-2.0
#include "fetcher/range_habits.hpp"

namespace sluice::fetcher {

namespace {

constexpr unsigned kEnough = 3;
constexpr milliseconds kBelievedFor{1000}; // as long as any failure is remembered

} // namespace

void RangeHabits::ignored(const std::string& registry, TimePoint asked, TimePoint now)
{
    auto& record = records_[registry];
    const bool is_forgotten = record.in_a_row == 0 || record.until <= now;
    if (!is_forgotten && asked < record.counted) {
        return;
    }
    record.in_a_row = is_forgotten ? 1 : record.in_a_row + 1;
    record.counted = now;
    record.until = now + kBelievedFor;
}

bool RangeHabits::ignores(const std::string& registry, TimePoint now) const
{
    const auto it = records_.find(registry);
    return it != records_.end() && it->second.in_a_row >= kEnough && it->second.until > now;
}

} // namespace sluice::fetcher
