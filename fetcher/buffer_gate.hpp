// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/aligned_buffer.hpp"
#include "base/event_loop.hpp"
#include "base/function.hpp"
#include "base/task.hpp"

#include <list>
#include <memory>
#include <optional>

namespace sluice::fetcher {

/// Turns "the pool is empty" into a queue: whoever comes first is given the first buffer that comes
/// back. Takes the pool's on_available() for itself. Loop's thread.
class BufferGate {
public:
    BufferGate(EventLoop& loop, BufferPool& pool);
    BufferGate(const BufferGate&) = delete;
    BufferGate& operator=(const BufferGate&) = delete;
    ~BufferGate();

    [[nodiscard]] std::size_t buffer_size() const noexcept { return pool_.buffer_size(); }

    /// Nothing while others wait, or when the budget is used up: then wait in the queue.
    [[nodiscard]] std::optional<AlignedBuffer> try_take();

    /// A place in the queue. Destroying it leaves the queue. Must not outlive the gate.
    class Waiter {
    public:
        Waiter(BufferGate& gate, UniqueFunction<void(AlignedBuffer)> on_buffer);
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
        std::shared_ptr<UniqueFunction<void(AlignedBuffer)>> on_buffer_;
        std::list<Waiter*>::iterator place_;
        bool waiting_ = false;
    };

    /// For coroutines: a buffer, whenever there is one.
    [[nodiscard]] Task<AlignedBuffer> take();

private:
    void hand_out();

    EventLoop& loop_;
    BufferPool& pool_;
    std::list<Waiter*> queue_;
    std::shared_ptr<BufferGate*> alive_;
};

} // namespace sluice::fetcher
