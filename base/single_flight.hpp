// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/task.hpp"

#include <map>
#include <utility>
#include <vector>

namespace sluice {

/// Lets many askers share one piece of work. `Outcome` is a Result. Loop thread only; must outlive its tasks.
template <typename Key, typename Outcome>
class SingleFlight {
public:
    explicit SingleFlight(EventLoop& loop) : loop_{loop} {}

    SingleFlight(const SingleFlight&) = delete;
    SingleFlight& operator=(const SingleFlight&) = delete;

    /// The first asker for `key` runs `work`; those who come before it has ended get the same outcome, and their own
    /// `work` is dropped unstarted. When the first asker is cancelled, the others fail with kCancelled and may ask again.
    [[nodiscard]] Task<Outcome> run(Key key, Task<Outcome> work)
    {
        if (const auto found = waiters_.find(key); found != waiters_.end()) {
            const OneShot<Outcome> shared{loop_};
            found->second.push_back(shared.setter());
            co_return co_await shared;
        }
        waiters_.emplace(key, Waiters{});
        Leader leader{*this, key};
        leader.outcome = co_await work;
        co_return leader.outcome;
    }

private:
    using Waiters = std::vector<typename OneShot<Outcome>::Setter>;

    /// Tells the others on every path, the destruction of the leader's frame included.
    struct Leader {
        Leader(SingleFlight& owner, Key of) : flight{owner}, key{std::move(of)} {}

        Leader(const Leader&) = delete;
        Leader& operator=(const Leader&) = delete;

        ~Leader()
        {
            const auto node = flight.waiters_.extract(key);
            for (const auto& waiter : node.mapped()) {
                waiter.set(outcome);
            }
        }

        SingleFlight& flight;
        Key key;
        Outcome outcome = fail(ErrorKind::kCancelled, "whoever was at it has gone away");
    };

    EventLoop& loop_;
    std::map<Key, Waiters> waiters_;
};

} // namespace sluice
