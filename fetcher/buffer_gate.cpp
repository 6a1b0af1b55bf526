// SPDX-License-Identifier: Apache-2.0
#include "fetcher/buffer_gate.hpp"

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
    assert(queue_.empty());
    pool_.on_available({});
}

std::optional<AlignedBuffer> BufferGate::try_take()
{
    assert(loop_.in_loop_thread());
    // While somebody waits, the pool still owes us a call: it was asked in vain and has not been
    // since.
    return queue_.empty() ? pool_.try_take() : std::nullopt;
}

void BufferGate::hand_out()
{
    while (!queue_.empty()) {
        auto buffer = pool_.try_take();
        if (!buffer) {
            return;
        }
        auto* first = queue_.front();
        queue_.pop_front();
        first->waiting_ = false;
        const auto on_buffer = first->on_buffer_; // it may destroy the waiter
        (*on_buffer)(std::move(*buffer));
    }
}

BufferGate::Waiter::Waiter(BufferGate& gate, UniqueFunction<void(AlignedBuffer)> on_buffer)
    : gate_{gate}, on_buffer_{std::make_shared<UniqueFunction<void(AlignedBuffer)>>(std::move(on_buffer))}
{}

BufferGate::Waiter::~Waiter()
{
    if (waiting_) {
        gate_.queue_.erase(place_);
    }
}

void BufferGate::Waiter::wait()
{
    assert(!waiting_);
    place_ = gate_.queue_.insert(gate_.queue_.end(), this);
    waiting_ = true;
}

Task<AlignedBuffer> BufferGate::take()
{
    auto buffer = try_take();
    if (!buffer) {
        OneShot<std::shared_ptr<AlignedBuffer>> given{loop_};
        Waiter waiter{*this, [setter = given.setter()](AlignedBuffer taken) {
                          setter.set(std::make_shared<AlignedBuffer>(std::move(taken)));
                      }};
        waiter.wait();
        const auto taken = co_await given;
        buffer = std::move(*taken);
    }
    co_return std::move(*buffer);
}

} // namespace sluice::fetcher
