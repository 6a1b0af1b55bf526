// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/task.hpp"

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sluice::fetcher {

/// Many askers, one job: who asks for a key while its job runs is given that job's value. The job
/// belongs to this object, so that it goes on when the first asker is cancelled. Loop's thread.
template <typename T>
class SingleFlight {
public:
    explicit SingleFlight(EventLoop& loop) : loop_{loop}, scope_{loop} {}

    /// `start` is only called when no job for `key` runs.
    [[nodiscard]] Task<T> run(std::string key, std::function<Task<T>()> start)
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
    using Setters = std::vector<typename OneShot<T>::Setter>;

    Task<void> fly(std::string key, Task<T> job)
    {
        const auto value = co_await job;
        const auto setters = std::move(waiting_[key]);
        waiting_.erase(key);
        for (const auto& setter : setters) {
            setter.set(value);
        }
    }

    EventLoop& loop_;
    std::map<std::string, Setters> waiting_;
    TaskScope scope_; // last: its tasks use all of the above
};

} // namespace sluice::fetcher
