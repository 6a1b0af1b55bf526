// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "fetcher/blob_source.hpp"
#include "fetcher/deadline_task.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

namespace sluice::fetcher {

/// Until when a fetch goes on, by its terms: the deadline, which bytes that come put off where the terms name a stall
/// time. A value, owned by the fetch. Loop's thread.
class Patience {
public:
    explicit Patience(const FetchTerms& terms) noexcept : until_{terms.deadline}, stall_{terms.stall} {}

    Patience(const Patience&) = delete;
    Patience& operator=(const Patience&) = delete;
    ~Patience() = default;

    /// The deadline as things stand; while it is held, always a stall time away.
    [[nodiscard]] Deadline until() const noexcept { return held_ == 0 ? until_ : later(SteadyClock::now() + stall_); }

    /// Whether bytes put the end off.
    [[nodiscard]] bool moves() const noexcept { return stall_.count() > 0; }

    void came() noexcept
    {
        if (moves()) {
            until_ = later(SteadyClock::now() + stall_);
        }
    }

    /// While it lives, the fetch waits for something of our own, and no time counts as a stall.
    class Hold {
    public:
        explicit Hold(Patience& patience) noexcept : patience_{patience} { ++patience_.held_; }

        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;

        ~Hold()
        {
            --patience_.held_;
            patience_.came();
        }

    private:
        Patience& patience_;
    };

private:
    [[nodiscard]] Deadline later(TimePoint when) const noexcept
    {
        return moves() ? Deadline{std::max(until_.when(), when)} : until_;
    }

    Deadline until_;
    milliseconds stall_;
    unsigned held_ = 0;
};

/// As with_deadline(), by a patience that may grow meanwhile; `what` is asked for the text when it is over.
template <typename T, typename What>
Task<Result<T>> with_patience(
    EventLoop& loop,
    Task<Result<T>> inner,
    std::reference_wrapper<const Patience> patience,
    milliseconds grace,
    What what
)
{
    const OneShot<Result<T>> done{loop};
    auto setter = done.setter();
    std::optional<Timer> timer;
    timer.emplace(loop, [&] {
        const auto end = patience.get().until().when() + grace;
        if (end > SteadyClock::now()) {
            timer->arm_at(end);
            return;
        }
        setter.set(fail(ErrorKind::kTimeout, what()));
    });
    timer->arm_at(patience.get().until().when() + grace);
    TaskScope scope{loop};
    scope.spawn(detail::run_into<T>(std::move(inner), setter));
    auto outcome = co_await done;
    co_return outcome;
}

} // namespace sluice::fetcher
