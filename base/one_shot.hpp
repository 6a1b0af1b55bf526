// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"

#include <cassert>
#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

namespace sluice {

/// A value that arrives later: `co_await` it in one place, set() it once from the loop's thread in another. The waiter
/// is resumed from the loop, never inside set(). Either side may go first, or go away.
template <typename T>
class OneShot {
    struct State {
        explicit State(EventLoop& event_loop) : loop{event_loop} {}

        EventLoop& loop;
        std::optional<T> value;
        std::coroutine_handle<> waiter;
    };

public:
    explicit OneShot(EventLoop& loop) : state_{std::make_shared<State>(loop)} {}

    /// What the setting side keeps; copies share the one value. Setting twice keeps the first value.
    class Setter {
    public:
        void set(T value) const
        {
            const auto state = state_;
            assert(state->loop.in_loop_thread());
            if (state->value) {
                return;
            }
            state->value.emplace(std::move(value));
            if (state->waiter) {
                state->loop.defer([state] {
                    if (const auto waiter = std::exchange(state->waiter, {})) {
                        waiter.resume();
                    }
                });
            }
        }

    private:
        friend class OneShot;

        explicit Setter(std::shared_ptr<State> state) : state_{std::move(state)} {}

        std::shared_ptr<State> state_;
    };

    [[nodiscard]] Setter setter() const { return Setter{state_}; }

    class Awaiter {
    public:
        explicit Awaiter(std::shared_ptr<State> state) : state_{std::move(state)} {}

        Awaiter(const Awaiter&) = delete;
        Awaiter& operator=(const Awaiter&) = delete;

        ~Awaiter() { state_->waiter = {}; }

        [[nodiscard]] bool await_ready() const noexcept { return state_->value.has_value(); }

        void await_suspend(std::coroutine_handle<> waiter) noexcept { state_->waiter = waiter; }

        T await_resume() { return std::move(*state_->value); }

    private:
        std::shared_ptr<State> state_;
    };

    Awaiter operator co_await() const noexcept { return Awaiter{state_}; }

private:
    std::shared_ptr<State> state_;
};

/// `co_await sleep_for(loop, 100ms);`
class SleepAwaiter {
public:
    SleepAwaiter(EventLoop& loop, milliseconds span) : timer_{loop, [this] { waiter_.resume(); }}, span_{span} {}

    static bool await_ready() noexcept { return false; }

    void await_suspend(std::coroutine_handle<> waiter)
    {
        waiter_ = waiter;
        timer_.arm(span_);
    }

    static void await_resume() noexcept {}

private:
    Timer timer_;
    milliseconds span_;
    std::coroutine_handle<> waiter_;
};

[[nodiscard]] inline SleepAwaiter sleep_for(EventLoop& loop, milliseconds span)
{
    return SleepAwaiter{loop, span};
}

} // namespace sluice
