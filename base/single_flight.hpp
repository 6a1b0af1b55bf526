// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/task.hpp"

#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace sluice {

/// Many askers, one job: who asks for a key while its job runs gets that job's value. The job belongs to this object,
/// so it goes on when those who asked are cancelled; destroying this object cancels it. Loop thread only.
template <typename Key, typename T>
class SingleFlight {
public:
    explicit SingleFlight(EventLoop& loop) : loop_{loop}, scope_{loop} {}

    SingleFlight(const SingleFlight&) = delete;
    SingleFlight& operator=(const SingleFlight&) = delete;
    ~SingleFlight() = default;

    /// `start` is called only when no job for `key` runs.
    [[nodiscard]] Task<T> run(Key key, std::function<Task<T>()> start)
    {
        const OneShot<T> landed{loop_};
        const auto [it, first] = waiting_.try_emplace(key);
        it->second.push_back(landed.setter());
        if (first) {
            scope_.spawn(fly(key, start()));
        }
        auto value = co_await landed;
        co_return value;
    }

private:
    Task<void> fly(Key key, Task<T> job)
    {
        const auto value = co_await job;
        const auto waiters = std::move(waiting_.extract(key).mapped());
        for (const auto& waiter : waiters) {
            waiter.set(value);
        }
    }

    EventLoop& loop_;
    std::map<Key, std::vector<typename OneShot<T>::Setter>> waiting_;
    TaskScope scope_; // last: its jobs use the above
};

} // namespace sluice
