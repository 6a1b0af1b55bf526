// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/coroutine.hpp"
#include "base/event_loop.hpp"

#include <list>
#include <memory>

namespace sluice {

namespace detail {

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

    /// The scope can be used again afterwards.
    void cancel_all() noexcept
    {
        if (roots_.empty()) {
            return;
        }
        // A task that has ended may have asked the loop to forget it: its place in the list is gone by then.
        alive_ = std::make_shared<Alive>(Alive{this});
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

} // namespace sluice
