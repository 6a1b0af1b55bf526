// SPDX-License-Identifier: Apache-2.0
//
// The faults, each with what a reader is promised. The test holds the daemon to it, and docs/fault-matrix.md is made
// from it: neither can say what the other does not.
#pragma once

#include "base/error.hpp"
#include "tests/integration/faults/fault_world.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

enum class Moment : std::uint8_t { kOpen, kFirstRead, kMiddle };

[[nodiscard]] std::string_view name_of(Moment moment) noexcept;

/// What a reader gets.
struct Promise {
    std::optional<ErrorKind> error; ///< nothing: the right bytes
    /// Of an error: until the READ's deadline it is tried again. Else it is told at once, and the registry has had no
    /// more than so many requests.
    bool until_deadline = false;
    std::size_t most_requests = 4;
    /// Of one that is tried until the deadline: the registry has had so many requests at least.
    std::size_t least_requests = 0;
};

struct FaultRow {
    std::string_view name;    ///< as on the page
    std::string_view meaning; ///< what really happens in the test
    std::vector<Moment> moments;
    void (*prepare)(FaultWorld&); ///< before all; null: nothing
    /// `times`: how many requests are struck; FakeRegistry::kForever where it lasts.
    void (*strike)(FaultWorld&, unsigned times);
    void (*mend)(FaultWorld&);
    bool (*struck)(const FaultWorld&);
    Promise lasting;
    std::optional<Promise>
        passing; ///< of one that strikes once and is gone; nothing: it makes no sense, or no difference
};

[[nodiscard]] const std::vector<FaultRow>& fault_table();

/// docs/fault-matrix.md
[[nodiscard]] std::string fault_page();

} // namespace sluice::test
