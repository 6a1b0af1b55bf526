// SPDX-License-Identifier: Apache-2.0
#include "fetcher/source_health.hpp"

#include <algorithm>

namespace sluice::fetcher {

namespace {

constexpr milliseconds kFirstPenalty{5000};
constexpr milliseconds kLongestPenalty{60'000};
constexpr milliseconds kProbe{10'000};
constexpr milliseconds kProbation{300'000};
constexpr std::size_t kMaxHosts = 1024;

milliseconds penalty(unsigned failures) noexcept
{
    auto span = kFirstPenalty;
    for (unsigned i = 1; i < failures && span < kLongestPenalty; ++i) {
        span *= 2;
    }
    return std::min(span, kLongestPenalty);
}

} // namespace

std::string_view host_of_repository(std::string_view repository) noexcept
{
    return repository.starts_with("oci:") ? repository : repository.substr(0, repository.find('/'));
}

void SourceHealth::failed(std::string_view host, TimePoint now)
{
    if (records_.size() >= kMaxHosts && !records_.contains(host)) {
        records_.erase(std::ranges::min_element(records_, {}, [](const auto& entry) { return entry.second.bad_until; })
        );
    }
    auto& record = records_[std::string{host}];
    if (state(host, now) == State::kGood) {
        record.failures = 0; // the old ones are forgotten
    }
    ++record.failures;
    record.bad_until = std::max(record.bad_until, now + penalty(record.failures));
}

void SourceHealth::succeeded(std::string_view host)
{
    if (const auto it = records_.find(host); it != records_.end()) {
        records_.erase(it);
    }
}

void SourceHealth::probing(std::string_view host, TimePoint now)
{
    if (const auto it = records_.find(host); it != records_.end()) {
        it->second.bad_until = std::max(it->second.bad_until, now + kProbe);
    }
}

SourceHealth::State SourceHealth::state(std::string_view host, TimePoint now) const
{
    const auto it = records_.find(host);
    if (it == records_.end() || now >= it->second.bad_until + kProbation) {
        return State::kGood;
    }
    return now < it->second.bad_until ? State::kBad : State::kProbation;
}

} // namespace sluice::fetcher
