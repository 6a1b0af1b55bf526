// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/function.hpp"
#include "base/task.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace sluice {

/// Threads for what takes processor time or blocks: hashing, direct writes, sqlite (a pool of one keeps its order).
/// submit() is thread-safe. The destructor finishes what is queued.
class WorkerPool {
public:
    explicit WorkerPool(std::size_t threads, const char* name = "worker");
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    ~WorkerPool();

    void submit(UniqueFunction<void()> job);

    /// Runs `job` on a worker and yields its value on the loop: `auto r = co_await pool.run(loop, std::move(job));`.
    /// `job` must own what it touches: when the waiter is cancelled, it runs to its end all the same.
    template <typename F>
    [[nodiscard]] Task<std::invoke_result_t<F&>> run(EventLoop& loop, F job)
    {
        using T = std::invoke_result_t<F&>;
        OneShot<T> done{loop};
        submit([&loop, setter = done.setter(), work = std::move(job)]() mutable {
            T value = work();
            {
                [[maybe_unused]] const F finished = std::move(work);
            } // what the job owns dies on the worker
            loop.post([setter, result = std::move(value)]() mutable { setter.set(std::move(result)); });
        });
        co_return co_await done;
    }

private:
    void work();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<UniqueFunction<void()>> jobs_; // guarded by mutex_, as stopping_
    bool stopping_ = false;
    std::vector<std::jthread> threads_; // last: they run work()
};

} // namespace sluice
