// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

namespace sluice {

using SteadyClock = std::chrono::steady_clock; ///< CLOCK_MONOTONIC, which sd-event timers use too
using TimePoint = SteadyClock::time_point;
using std::chrono::milliseconds;

/// When whoever asked will have been answered, with or without the data.
class Deadline {
public:
    explicit Deadline(TimePoint when) noexcept : when_{when} {}

    [[nodiscard]] static Deadline after(milliseconds span) noexcept { return Deadline{SteadyClock::now() + span}; }

    [[nodiscard]] TimePoint when() const noexcept { return when_; }

    [[nodiscard]] bool passed() const noexcept { return SteadyClock::now() >= when_; }

    /// Never negative.
    [[nodiscard]] milliseconds remaining() const noexcept
    {
        const auto left = std::chrono::duration_cast<milliseconds>(when_ - SteadyClock::now());
        return std::max(left, milliseconds{0});
    }

private:
    TimePoint when_;
};

} // namespace sluice
