// SPDX-License-Identifier: Apache-2.0
//
// Coroutines for orchestration. Destroying a Task cancels it: the frame goes, and with it the awaitables it stands in,
// whose destructors unregister themselves. All of this belongs to the loop's thread.
//
// g++ 12.2 miscompiles aggregate temporaries inside a co_await expression; HACKING.md has the rules that keep us safe:
// one `auto x = co_await f(a, b);` a statement, named locals as arguments, parameters by value, no capturing lambda
// that is itself a coroutine.
#pragma once

#include "base/event_loop.hpp"

#include <cassert>
#include <coroutine>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <utility>

namespace sluice {

template <typename T = void>
class Task;

namespace detail {

struct PromiseBase {
    std::coroutine_handle<> continuation = std::noop_coroutine();

    static std::suspend_always initial_suspend() noexcept { return {}; }

    struct FinalAwaiter {
        static bool await_ready() noexcept { return false; }

        template <typename P>
        static std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept
        {
            return self.promise().continuation;
        }

        static void await_resume() noexcept {}
    };

    static FinalAwaiter final_suspend() noexcept { return {}; }

    // Outcomes travel as Result<T>; an exception here is out of memory or a bug, and nobody could recover.
    [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
};

template <typename T>
struct Promise : PromiseBase {
    std::optional<T> value;

    Task<T> get_return_object() noexcept;

    template <typename U>
    void return_value(U&& result)
    {
        value.emplace(std::forward<U>(result));
    }

    T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
    Task<void> get_return_object() noexcept;

    static void return_void() noexcept {}

    static void take() noexcept {}
};

} // namespace detail

/// A lazy coroutine: starts when awaited (or when a TaskScope starts it), and runs to its end on the loop's thread.
template <typename T>
class [[nodiscard]] Task {
public:
    using promise_type = detail::Promise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    Task() noexcept = default;

    explicit Task(Handle handle) noexcept : handle_{handle} {}

    Task(Task&& other) noexcept : handle_{std::exchange(other.handle_, {})} {}

    Task& operator=(Task&& other) noexcept
    {
        if (this != &other) {
            destroy();
            handle_ = std::exchange(other.handle_, {});
        }
        return *this;
    }

    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;

    ~Task() { destroy(); }

    struct Awaiter {
        Handle handle;

        [[nodiscard]] bool await_ready() const noexcept { return handle.done(); }

        std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept
        {
            handle.promise().continuation = waiter;
            return handle;
        }

        T await_resume() { return handle.promise().take(); }
    };

    Awaiter operator co_await() && noexcept { return Awaiter{handle_}; }

    Awaiter operator co_await() & noexcept { return Awaiter{handle_}; }

private:
    void destroy() noexcept
    {
        if (handle_) {
            std::exchange(handle_, {}).destroy();
        }
    }

    Handle handle_;
};

namespace detail {

template <typename T>
Task<T> Promise<T>::get_return_object() noexcept
{
    return Task<T>{std::coroutine_handle<Promise<T>>::from_promise(*this)};
}

inline Task<void> Promise<void>::get_return_object() noexcept
{
    return Task<void>{std::coroutine_handle<Promise<void>>::from_promise(*this)};
}

/// A coroutine that starts at once and whose handle is kept by the scope until it has ended.
struct Root {
    struct promise_type {
        Root get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }

        static std::suspend_always initial_suspend() noexcept { return {}; }

        static std::suspend_always final_suspend() noexcept { return {}; }

        static void return_void() noexcept {}

        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };

    std::coroutine_handle<promise_type> handle;
};

} // namespace detail

/// Owns tasks that nobody awaits. Destroying the scope cancels those that have not ended.
class TaskScope {
public:
    explicit TaskScope(EventLoop& loop) : loop_{loop} {}

    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;

    ~TaskScope() { cancel_all(); }

    /// Starts `task` at once, in this stack frame.
    void spawn(Task<void> task)
    {
        assert(loop_.in_loop_thread());
        roots_.push_front({});
        const auto at = roots_.begin();
        *at = run(std::move(task), alive_, at);
        at->handle.resume();
    }

    [[nodiscard]] bool empty() const noexcept { return roots_.empty(); }

    void cancel_all() noexcept
    {
        while (!roots_.empty()) {
            const auto root = roots_.front();
            roots_.pop_front();
            if (root.handle) {
                root.handle.destroy();
            }
        }
    }

private:
    using Roots = std::list<detail::Root>;

    struct Alive {
        TaskScope* scope;
    };

    detail::Root run(Task<void> task, std::shared_ptr<Alive> alive, Roots::iterator at)
    {
        co_await task;
        // The frame cannot destroy itself while it runs: that is left to the loop.
        loop_.defer([weak = std::weak_ptr<Alive>{alive}, at] {
            if (const auto still = weak.lock()) {
                still->scope->forget(at);
            }
        });
    }

    void forget(Roots::iterator at) noexcept
    {
        const auto root = *at;
        roots_.erase(at);
        root.handle.destroy();
    }

    EventLoop& loop_;
    Roots roots_;
    std::shared_ptr<Alive> alive_ = std::make_shared<Alive>(Alive{this});
};

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
