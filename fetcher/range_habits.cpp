// SPDX-License-Identifier: Apache-2.0
#include "fetcher/range_habits.hpp"

namespace sluice::fetcher {

namespace {

constexpr unsigned kEnough = 3;
constexpr milliseconds kBelievedFor{1000}; // as long as any failure is remembered

} // namespace

void RangeHabits::ignored(const std::string& registry, TimePoint now)
{
    auto& record = records_[registry];
    record.in_a_row = record.until > now ? record.in_a_row + 1 : 1;
    record.until = now + kBelievedFor;
}

bool RangeHabits::ignores(const std::string& registry, TimePoint now) const
{
    const auto it = records_.find(registry);
    return it != records_.end() && it->second.in_a_row >= kEnough && it->second.until > now;
}

} // namespace sluice::fetcher
