// SPDX-License-Identifier: Apache-2.0
#include "fetcher/host_slots.hpp"

namespace sluice::fetcher {

/// Leaves the queue when its coroutine is destroyed.
struct HostSlots::Waiter {
    Waiter(std::shared_ptr<Host> at, EventLoop& loop) : host{std::move(at)}, given{loop}
    {
        place = host->queue.insert(host->queue.end(), this);
    }

    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    ~Waiter()
    {
        if (queued) {
            host->queue.erase(place);
        }
    }

    std::shared_ptr<Host> host;
    OneShot<std::shared_ptr<Slot>> given; ///< shared: one that nobody fetches any more still goes back
    std::list<Waiter*>::iterator place;
    bool queued = true;
};

void HostSlots::Slot::give_back() noexcept
{
    if (!host_) {
        return;
    }
    const auto host = std::exchange(host_, nullptr);
    if (host->queue.empty()) {
        --host->used;
        return;
    }
    auto* next = host->queue.front();
    host->queue.pop_front();
    next->queued = false;
    next->given.setter().set(std::make_shared<Slot>(host));
}

Task<HostSlots::Slot> HostSlots::acquire(std::string host)
{
    auto& entry = hosts_[host];
    if (!entry) {
        entry = std::make_shared<Host>();
    }
    const auto at = entry;
    if (at->used < per_host_) {
        ++at->used;
        co_return Slot{at};
    }
    const Waiter waiter{at, loop_};
    const auto given = co_await waiter.given;
    co_return std::move(*given);
}

} // namespace sluice::fetcher
