// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/function.hpp"
#include "base/mutex.hpp"
#include "base/task.hpp"
#include "base/urgency.hpp"

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

namespace sluice {

/// Threads for what takes processor time or blocks: hashing, direct writes, sqlite (a pool of one keeps its order).
///
/// A worker that becomes free takes the oldest job of the highest urgency, so a demanded job never stands behind
/// others. Background jobs occupy all workers but one at most (the only worker of a pool of one they may have): however
/// long they take, a demanded job waits for demanded or readahead jobs alone. As long as more urgent jobs keep all
/// workers busy, background jobs don't run.
///
/// submit() is thread-safe. A job that throws ends the process, as a coroutine does: jobs return Result<T>. The
/// destructor finishes what is queued, background jobs included.
class WorkerPool {
public:
    explicit WorkerPool(std::size_t threads, const char* name = "worker");
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    ~WorkerPool();

    void submit(UniqueFunction<void()> job, Urgency urgency = Urgency::kDemand);

    /// Runs `job` on a worker and yields its value on the loop: `auto r = co_await pool.run(loop, std::move(job));`.
    /// `job` must own what it touches: when the waiter is cancelled, it runs to its end all the same.
    /// Leave out the last two: they say whose turn it was when the waiter keeps the loop for long.
    template <typename F>
    [[nodiscard]] Task<std::invoke_result_t<F&>>
    run(EventLoop& loop,
        F job,
        Urgency urgency = Urgency::kDemand,
        const char* file = __builtin_FILE(),
        int line = __builtin_LINE())
    {
        using T = std::invoke_result_t<F&>;
        const HandlerName name{"coroutine after a worker's job", file, line};
        OneShot<T> done{loop, name};
        UniqueFunction<void()> wrapped = [&loop, name, setter = done.setter(), work = std::move(job)]() mutable {
            T value = work();
            {
                [[maybe_unused]] const F finished = std::move(work);
            } // what the job owns dies on the worker
            loop.post([setter, result = std::move(value)]() mutable { setter.set(std::move(result)); }, name);
        };
        submit(std::move(wrapped), urgency);
        T result = co_await done;
        co_return result;
    }

private:
    void work();
    [[nodiscard]] std::optional<Urgency> next() const noexcept SLUICE_REQUIRES(mutex_);

    const std::size_t most_background_;

    Mutex mutex_;
    Condition wake_;
    std::array<std::deque<UniqueFunction<void()>>, kUrgencies> jobs_ SLUICE_GUARDED_BY(mutex_);
    std::size_t background_ SLUICE_GUARDED_BY(mutex_) = 0; // jobs that run
    bool stopping_ SLUICE_GUARDED_BY(mutex_) = false;
    std::vector<std::jthread> threads_; // last: they run work()
};

} // namespace sluice
