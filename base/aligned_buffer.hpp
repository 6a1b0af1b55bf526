// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/mutex.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace sluice {

class BufferPool;

/// Page-aligned memory of a whole number of blocks, as O_DIRECT writes want it. Move-only; goes back to its pool.
/// `size()` is how much of it is filled; it starts at 0.
class AlignedBuffer {
public:
    AlignedBuffer() noexcept = default;
    AlignedBuffer(AlignedBuffer&& other) noexcept;
    AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
    AlignedBuffer(const AlignedBuffer&) = delete;
    AlignedBuffer& operator=(const AlignedBuffer&) = delete;
    ~AlignedBuffer();

    /// Outside of any budget, zeroed; for tools and tests. `capacity` is rounded up to whole blocks.
    [[nodiscard]] static AlignedBuffer allocate(std::size_t capacity);

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    void set_size(std::size_t size) noexcept;

    [[nodiscard]] std::span<std::byte> bytes() noexcept { return {memory_, size_}; }

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {memory_, size_}; }

    /// The unfilled rest.
    [[nodiscard]] std::span<std::byte> space() noexcept { return {memory_ + size_, capacity_ - size_}; }

    /// Copies as much of `data` as fits, and says how much that was.
    std::size_t append(std::span<const std::byte> data) noexcept;

private:
    friend class BufferPool;

    AlignedBuffer(std::byte* memory, std::size_t capacity, BufferPool* pool) noexcept
        : memory_{memory}, capacity_{capacity}, pool_{pool}
    {}

    void give_back() noexcept;

    std::byte* memory_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
    BufferPool* pool_ = nullptr;
};

/// The byte budget for data that was fetched and is not yet written: equal buffers, allocated as they are first
/// wanted and then reused. Thread-safe; must outlive its buffers.
class BufferPool {
public:
    /// `budget` bytes in buffers of `buffer_size` (a multiple of the block size); at least two buffers.
    BufferPool(std::size_t budget, std::size_t buffer_size);
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;
    ~BufferPool();

    [[nodiscard]] std::size_t buffer_size() const noexcept { return buffer_size_; }

    /// How many buffers the budget allows.
    [[nodiscard]] std::size_t buffers() const noexcept { return limit_; }

    /// Nothing when not more than `leave` buffers are left: pause, and try again when `on_available` was called.
    [[nodiscard]] std::optional<AlignedBuffer> try_take(std::size_t leave = 0);

    /// Called from any thread, whenever a buffer comes back after a try_take() that got none.
    void on_available(std::function<void()> callback);

    [[nodiscard]] std::size_t bytes_taken() const;

private:
    friend class AlignedBuffer;
    void give_back(std::byte* memory) noexcept;

    const std::size_t buffer_size_;
    const std::size_t limit_;
    mutable Mutex mutex_;
    std::vector<std::byte*> free_ SLUICE_GUARDED_BY(mutex_);
    std::size_t allocated_ SLUICE_GUARDED_BY(mutex_) = 0;
    bool starved_ SLUICE_GUARDED_BY(mutex_) = false;
    std::function<void()> available_ SLUICE_GUARDED_BY(mutex_);
};

} // namespace sluice
