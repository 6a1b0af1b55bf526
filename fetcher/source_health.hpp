// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace sluice::fetcher {

/// What a repository shares its luck with: "registry.example:5000" of "registry.example:5000/team/app"; an image layout
/// is alone. Pure.
[[nodiscard]] std::string_view host_of_repository(std::string_view repository) noexcept;

/// Which hosts have failed lately. A host that fails is out of favour for 5 s, and twice as long with each further
/// failure up to a minute; then it is on probation until it has answered or five minutes have passed. A value, bounded;
/// the clock is handed in. Not thread-safe.
class SourceHealth {
public:
    enum class State : std::uint8_t {
        kGood,
        kProbation, ///< has failed, some time ago: those who are in no hurry may try
        kBad,
    };

    void failed(std::string_view host, TimePoint now);
    void succeeded(std::string_view host);

    /// Somebody tries it out: for as long as one failure takes to be noticed nobody else needs to.
    void probing(std::string_view host, TimePoint now);

    [[nodiscard]] State state(std::string_view host, TimePoint now) const;

private:
    struct Record {
        unsigned failures = 0;
        TimePoint bad_until;
    };

    std::map<std::string, Record, std::less<>> records_; // of hosts that have failed
};

} // namespace sluice::fetcher
