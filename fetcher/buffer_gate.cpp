// SPDX-License-Identifier: Apache-2.0
#include "fetcher/buffer_gate.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice::fetcher {

BufferGate::BufferGate(EventLoop& loop, BufferPool& pool)
    : loop_{loop}, pool_{pool}, alive_{std::make_shared<BufferGate*>(this)}
{
    pool_.on_available([&loop, weak = std::weak_ptr<BufferGate*>{alive_}] {
        loop.post([weak] {
            if (const auto gate = weak.lock()) {
                (*gate)->hand_out();
            }
        });
    });
}

BufferGate::~BufferGate()
{
    assert(std::ranges::all_of(queues_, [](const auto& queue) { return queue.empty(); }));
    pool_.on_available({});
}

std::list<BufferGate::Waiter*>& BufferGate::queue(Urgency urgency) noexcept
{
    return queues_.at(static_cast<std::size_t>(urgency));
}

std::optional<AlignedBuffer> BufferGate::take_from_pool(Urgency urgency)
{
    return pool_.try_take(urgency == Urgency::kDemand ? 0 : pool_.buffers() / 4);
}

std::optional<AlignedBuffer> BufferGate::try_take(Urgency urgency)
{
    assert(loop_.in_loop_thread());
    // While somebody waits, the pool still owes us a call: it was asked in vain and has not been
    // since.
    for (std::size_t i = 0; i <= static_cast<std::size_t>(urgency); ++i) {
        if (!queues_.at(i).empty()) {
            return std::nullopt;
        }
    }
    return take_from_pool(urgency);
}

void BufferGate::hand_out()
{
    for (const auto urgency : {Urgency::kDemand, Urgency::kReadahead, Urgency::kBackground}) {
        if (!hand_out_to(urgency)) {
            return; // nor is there one for those who are less urgent
        }
    }
}

/// Whether nobody of them waits any more.
bool BufferGate::hand_out_to(Urgency urgency)
{
    auto& waiting = queue(urgency);
    while (!waiting.empty()) {
        auto buffer = take_from_pool(urgency);
        if (!buffer) {
            return false;
        }
        auto* first = waiting.front();
        waiting.pop_front();
        first->waiting_ = false;
        const auto on_buffer = first->on_buffer_; // it may destroy the waiter
        (*on_buffer)(std::move(*buffer));
    }
    return true;
}

BufferGate::Waiter::Waiter(BufferGate& gate, Urgency urgency, UniqueFunction<void(AlignedBuffer)> on_buffer)
    : gate_{gate}
    , urgency_{urgency}
    , on_buffer_{std::make_shared<UniqueFunction<void(AlignedBuffer)>>(std::move(on_buffer))}
{}

BufferGate::Waiter::~Waiter()
{
    if (waiting_) {
        gate_.queue(urgency_).erase(place_);
    }
}

void BufferGate::Waiter::wait()
{
    assert(!waiting_);
    auto& queue = gate_.queue(urgency_);
    place_ = queue.insert(queue.end(), this);
    waiting_ = true;
}

Task<AlignedBuffer> BufferGate::take(Urgency urgency)
{
    auto buffer = try_take(urgency);
    if (!buffer) {
        OneShot<std::shared_ptr<AlignedBuffer>> given{loop_};
        Waiter waiter{*this, urgency, [setter = given.setter()](AlignedBuffer taken) {
                          setter.set(std::make_shared<AlignedBuffer>(std::move(taken)));
                      }};
        waiter.wait();
        const auto taken = co_await given;
        buffer = std::move(*taken);
    }
    co_return std::move(*buffer);
}

} // namespace sluice::fetcher
