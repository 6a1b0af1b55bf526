// SPDX-License-Identifier: Apache-2.0
#include "base/worker_pool.hpp"

#include <algorithm>
#include <csignal>
#include <pthread.h>

namespace sluice {

WorkerPool::WorkerPool(std::size_t threads, const char* name) : most_background_{std::max<std::size_t>(threads, 2) - 1}
{
    // Signals belong to the loop's thread; a new thread inherits the mask that is set while it is made.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i) {
        threads_.emplace_back([this] { work(); });
        pthread_setname_np(threads_.back().native_handle(), name);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

WorkerPool::~WorkerPool()
{
    {
        const MutexLock lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_all();
}

void WorkerPool::submit(UniqueFunction<void()> job, Urgency urgency)
{
    {
        const MutexLock lock{mutex_};
        jobs_.at(static_cast<std::size_t>(urgency)).push_back(std::move(job));
    }
    wake_.notify_one(); // all sleepers are alike: whichever wakes may take what any other could
}

std::optional<Urgency> WorkerPool::next() const noexcept
{
    const bool background_too = stopping_ || background_ < most_background_;
    for (const auto urgency : {Urgency::kDemand, Urgency::kReadahead, Urgency::kBackground}) {
        const bool allowed = urgency != Urgency::kBackground || background_too;
        if (allowed && !jobs_[static_cast<std::size_t>(urgency)].empty()) {
            return urgency;
        }
    }
    return std::nullopt;
}

void WorkerPool::work()
{
    const MutexLock lock{mutex_};
    for (;;) {
        auto urgency = next();
        while (!stopping_ && !urgency) {
            wake_.wait(mutex_);
            urgency = next();
        }
        if (!urgency) {
            return;
        }
        auto& queue = jobs_[static_cast<std::size_t>(*urgency)];
        auto job = std::move(queue.front());
        queue.pop_front();
        const std::size_t counts = *urgency == Urgency::kBackground ? 1 : 0;
        background_ += counts;
        {
            const MutexRelease running{mutex_};
            job();
            job = {}; // what it owns dies while the mutex is free: it may submit
        }
        background_ -= counts;
    }
}

} // namespace sluice
