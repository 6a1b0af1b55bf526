// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/task.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>

namespace sluice {

namespace detail {

/// The state of one for_each_bounded(): each lane takes the next number when it is done with the last one.
class Lanes {
public:
    Lanes(EventLoop& loop, std::size_t count, std::function<Task<Result<void>>(std::size_t)> start)
        : count_{count}, start_{std::move(start)}, outcome_{loop}
    {}

    Task<void> lane()
    {
        while (next_ < count_ && !failed_) {
            const auto number = next_++;
            auto done = co_await start_(number);
            if (!done) {
                failed_ = true;
                outcome_.setter().set(std::move(done));
                co_return;
            }
            ++ended_;
            if (ended_ == count_) {
                outcome_.setter().set(Result<void>{});
            }
        }
    }

    [[nodiscard]] const OneShot<Result<void>>& outcome() const noexcept { return outcome_; }

private:
    std::size_t count_;
    std::function<Task<Result<void>>(std::size_t)> start_;
    OneShot<Result<void>> outcome_;
    std::size_t next_ = 0;
    std::size_t ended_ = 0;
    bool failed_ = false;
};

} // namespace detail

/// Runs `start(0)` to `start(count - 1)`, at most `at_once` of them at a time, and succeeds when all have. The first
/// failure is the outcome: no further task is started, and those under way are cancelled. Cancelling this task cancels
/// them too. Loop thread only.
[[nodiscard]] inline Task<Result<void>> for_each_bounded(
    EventLoop& loop, std::size_t count, std::size_t at_once, std::function<Task<Result<void>>(std::size_t)> start
)
{
    if (count == 0) {
        co_return Result<void>{};
    }
    detail::Lanes lanes{loop, count, std::move(start)};
    TaskScope scope{loop};
    for (std::size_t i = 0; i < std::min(at_once, count); ++i) {
        scope.spawn(lanes.lane());
    }
    auto outcome = co_await lanes.outcome();
    co_return outcome;
}

} // namespace sluice
