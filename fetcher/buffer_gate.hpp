// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/aligned_buffer.hpp"
#include "base/event_loop.hpp"
#include "base/function.hpp"
#include "base/task.hpp"
#include "base/urgency.hpp"

#include <array>
#include <list>
#include <memory>
#include <optional>

namespace sluice::fetcher {

/// Turns "the pool is empty" into queues: the first buffer that comes back goes to whoever is most urgent, and of those
/// to whoever came first. A quarter of the pool is for demand only. Takes the pool's on_available() for itself. Loop's
/// thread.
class BufferGate {
public:
    BufferGate(EventLoop& loop, BufferPool& pool);
    BufferGate(const BufferGate&) = delete;
    BufferGate& operator=(const BufferGate&) = delete;
    ~BufferGate();

    [[nodiscard]] std::size_t buffer_size() const noexcept { return pool_.buffer_size(); }

    /// Nothing while others wait that are as urgent or more, or when the budget is used up: then wait in the queue.
    [[nodiscard]] std::optional<AlignedBuffer> try_take(Urgency urgency);

    /// A place in the queue. Destroying it leaves the queue. Must not outlive the gate.
    class Waiter {
    public:
        Waiter(BufferGate& gate, Urgency urgency, UniqueFunction<void(AlignedBuffer)> on_buffer);
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        ~Waiter();

        /// `on_buffer` will be called once, from the loop; it may destroy this, or wait again. Only
        /// after a try_take() that got nothing.
        void wait();

        [[nodiscard]] bool waiting() const noexcept { return waiting_; }

    private:
        friend class BufferGate;

        BufferGate& gate_;
        Urgency urgency_;
        std::shared_ptr<UniqueFunction<void(AlignedBuffer)>> on_buffer_;
        std::list<Waiter*>::iterator place_;
        bool waiting_ = false;
    };

    /// For coroutines: a buffer, whenever there is one.
    [[nodiscard]] Task<AlignedBuffer> take(Urgency urgency);

private:
    [[nodiscard]] std::list<Waiter*>& queue(Urgency urgency) noexcept;
    [[nodiscard]] std::optional<AlignedBuffer> take_from_pool(Urgency urgency);
    void hand_out();
    [[nodiscard]] bool hand_out_to(Urgency urgency);

    EventLoop& loop_;
    BufferPool& pool_;
    std::array<std::list<Waiter*>, kUrgencies> queues_;
    std::shared_ptr<BufferGate*> alive_;
};

} // namespace sluice::fetcher
