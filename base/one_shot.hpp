// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/stall_watch.hpp"

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
        State(EventLoop& event_loop, HandlerName resumed) : loop{event_loop}, name{resumed} {}

        EventLoop& loop;
        HandlerName name;
        std::optional<T> value;
        std::coroutine_handle<> waiter;
    };

public:
    /// `name` is that of the waiter's turn on the loop.
    explicit OneShot(EventLoop& loop, HandlerName name = HandlerName{"coroutine"})
        : state_{std::make_shared<State>(loop, name)}
    {}

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
                auto resume = [state] {
                    if (const auto waiter = std::exchange(state->waiter, {})) {
                        waiter.resume();
                    }
                };
                state->loop.defer(std::move(resume), state->name);
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
    SleepAwaiter(EventLoop& loop, milliseconds span, const char* file, int line)
        : timer_{loop, [this] { waiter_.resume(); }, HandlerName{"coroutine that slept", file, line}}, span_{span}
    {}

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

[[nodiscard]] inline SleepAwaiter
sleep_for(EventLoop& loop, milliseconds span, const char* file = __builtin_FILE(), int line = __builtin_LINE())
{
    return SleepAwaiter{loop, span, file, line};
}

} // namespace sluice
