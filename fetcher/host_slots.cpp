// SPDX-License-Identifier: Apache-2.0
#include "fetcher/host_slots.hpp"

#include <algorithm>

namespace sluice::fetcher {

namespace {

/// Slots that go to demand in a row while readahead waits.
constexpr unsigned kDemandInARow = 3;

} // namespace

struct HostSlots::Host {
    explicit Host(unsigned per_host)
        : most{per_host}, most_behind{std::max(per_host * 3 / 4, 1U)}, most_background{std::max(per_host / 2, 1U)}
    {}

    [[nodiscard]] bool has_room(Urgency urgency) const noexcept
    {
        return used < most && (urgency == Urgency::kDemand || used_behind < most_behind) &&
               (urgency != Urgency::kBackground || used_background < most_background);
    }

    /// Whether one who comes now may have a slot at once, and passes nobody who waits for one.
    [[nodiscard]] bool is_free(Urgency urgency) const noexcept
    {
        return has_room(urgency) && (urgency != Urgency::kBackground || (demand.empty() && readahead.empty()));
    }

    void take(Urgency urgency) noexcept
    {
        ++used;
        used_behind += urgency == Urgency::kDemand ? 0U : 1U;
        used_background += urgency == Urgency::kBackground ? 1U : 0U;
    }

    void put_back(Urgency urgency) noexcept
    {
        --used;
        used_behind -= urgency == Urgency::kDemand ? 0U : 1U;
        used_background -= urgency == Urgency::kBackground ? 1U : 0U;
    }

    [[nodiscard]] std::list<Waiter*>& queue(Urgency urgency) noexcept
    {
        if (urgency == Urgency::kBackground) {
            return background;
        }
        return urgency == Urgency::kDemand ? demand : readahead;
    }

    /// Who is to have the next slot; null when nobody can.
    [[nodiscard]] Waiter* next() noexcept
    {
        const bool may_read_ahead = !readahead.empty() && has_room(Urgency::kReadahead);
        if (!demand.empty() && has_room(Urgency::kDemand) && !(may_read_ahead && demand_in_a_row >= kDemandInARow)) {
            ++demand_in_a_row;
            return demand.front();
        }
        if (may_read_ahead) {
            demand_in_a_row = 0;
            return readahead.front();
        }
        return !background.empty() && is_free(Urgency::kBackground) ? background.front() : nullptr;
    }

    const unsigned most;
    const unsigned most_behind;
    const unsigned most_background;
    unsigned used = 0;
    unsigned used_behind = 0;     ///< of `used`: not demand
    unsigned used_background = 0; ///< of those
    unsigned demand_in_a_row = 0;
    std::list<Waiter*> demand;
    std::list<Waiter*> readahead;
    std::list<Waiter*> background;
};

/// Leaves the queue when its coroutine is destroyed.
struct HostSlots::Waiter {
    Waiter(std::shared_ptr<Host> at, Urgency how, EventLoop& loop) : host{std::move(at)}, urgency{how}, given{loop}
    {
        auto& queue = host->queue(urgency);
        place = queue.insert(queue.end(), this);
    }

    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    ~Waiter() { leave(); }

    void leave() noexcept
    {
        if (std::exchange(queued, false)) {
            host->queue(urgency).erase(place);
        }
    }

    std::shared_ptr<Host> host;
    Urgency urgency;
    OneShot<std::shared_ptr<Slot>> given; ///< shared: one that nobody fetches any more still goes back
    std::list<Waiter*>::iterator place;
    bool queued = true;
};

void HostSlots::Slot::give_back() noexcept
{
    const auto host = std::exchange(host_, nullptr);
    if (!host) {
        return;
    }
    host->put_back(urgency_);
    while (auto* waiter = host->next()) {
        waiter->leave();
        host->take(waiter->urgency);
        waiter->given.setter().set(std::make_shared<Slot>(host, waiter->urgency));
    }
}

Task<HostSlots::Slot> HostSlots::acquire(std::string host, Urgency urgency)
{
    auto& entry = hosts_[host];
    if (!entry) {
        entry = std::make_shared<Host>(per_host_);
    }
    const auto at = entry;
    if (at->is_free(urgency)) {
        at->take(urgency);
        co_return Slot{at, urgency};
    }
    const Waiter waiter{at, urgency, loop_};
    const auto given = co_await waiter.given;
    co_return std::move(*given);
}

} // namespace sluice::fetcher
