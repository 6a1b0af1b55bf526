// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/result.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>

namespace sluice::daemon {

/// How the READs of one front end ended, and how long each took, counted from when it was handed out, maybe to a
/// predecessor of this process. Loop thread only.
class ReadStats {
public:
    using Seconds = std::chrono::duration<double>;

    /// The longest time of each class but the last, which has no limit.
    static constexpr std::array kLimits{
        Seconds{0.0005},
        Seconds{0.001},
        Seconds{0.0025},
        Seconds{0.005},
        Seconds{0.01},
        Seconds{0.025},
        Seconds{0.05},
        Seconds{0.1},
        Seconds{0.25},
        Seconds{0.5},
        Seconds{1},
        Seconds{2.5},
        Seconds{5},
        Seconds{10},
        Seconds{30}};

    void note(SteadyClock::duration took, const Result<void>& outcome);

    /// How many READs of all there were took no longer than each limit, and how many there were, which is the last.
    [[nodiscard]] std::array<std::uint64_t, kLimits.size() + 1> up_to_each_limit() const noexcept;

    /// All READs' times together.
    [[nodiscard]] Seconds total() const noexcept { return total_; }

    [[nodiscard]] std::uint64_t served() const noexcept { return served_; }

    /// Kinds of which there was none are not in it.
    [[nodiscard]] const std::map<ErrorKind, std::uint64_t>& failed() const noexcept { return failed_; }

private:
    std::array<std::uint64_t, kLimits.size() + 1> classes_{};
    Seconds total_{0};
    std::uint64_t served_ = 0;
    std::map<ErrorKind, std::uint64_t> failed_;
};

} // namespace sluice::daemon
