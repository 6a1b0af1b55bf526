// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/task.hpp"
#include "fetcher/blob_source.hpp"

#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace sluice::fetcher {

/// At most so many transfers at once to one host; the others wait in order of arrival. Demand goes before readahead,
/// and readahead never has all of the slots, so that a reader need not wait until a long one is through; but of each
/// four slots that are given away one goes to readahead, for a reader may be waiting for that by now. Background has
/// half of the slots at most, and none while others wait. Thousands may wait: one costs a list entry. Loop's thread;
/// must outlive its slots.
class HostSlots {
    struct Waiter;
    struct Host;

public:
    HostSlots(EventLoop& loop, unsigned per_host) : loop_{loop}, per_host_{per_host} {}

    HostSlots(const HostSlots&) = delete;
    HostSlots& operator=(const HostSlots&) = delete;
    ~HostSlots() = default;

    /// The right to transfer; given back when it is destroyed.
    class Slot {
    public:
        Slot() noexcept = default;

        Slot(std::shared_ptr<Host> host, Urgency urgency) noexcept : host_{std::move(host)}, urgency_{urgency} {}

        Slot(Slot&& other) noexcept = default;

        Slot& operator=(Slot&& other) noexcept
        {
            give_back();
            host_ = std::exchange(other.host_, nullptr);
            urgency_ = other.urgency_;
            return *this;
        }

        Slot(const Slot&) = delete;
        Slot& operator=(const Slot&) = delete;

        ~Slot() { give_back(); }

    private:
        void give_back() noexcept;

        std::shared_ptr<Host> host_;
        Urgency urgency_ = Urgency::kDemand;
    };

    [[nodiscard]] Task<Slot> acquire(std::string host, Urgency urgency);

private:
    EventLoop& loop_;
    unsigned per_host_;
    std::map<std::string, std::shared_ptr<Host>> hosts_;
};

} // namespace sluice::fetcher
