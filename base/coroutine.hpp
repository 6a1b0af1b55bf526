// SPDX-License-Identifier: Apache-2.0
//
// Coroutines for orchestration. Destroying a Task cancels it: the frame goes, and with it the awaitables it stands in,
// whose destructors unregister themselves. All of this belongs to the loop's thread.
//
// g++ 12.2 miscompiles aggregate temporaries inside a co_await expression; HACKING.md has the rules that keep us safe:
// one `auto x = co_await f(a, b);` a statement, named locals as arguments, parameters by value, no capturing lambda
// that is itself a coroutine.
#pragma once

#include <cassert>
#include <coroutine>
#include <exception>
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

} // namespace detail

} // namespace sluice
