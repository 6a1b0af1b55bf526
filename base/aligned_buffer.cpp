// SPDX-License-Identifier: Apache-2.0
#include "base/aligned_buffer.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace sluice {

namespace {

std::byte* allocate_blocks(std::size_t size)
{
    return static_cast<std::byte*>(::operator new (size, std::align_val_t{kBlockSize}));
}

void free_blocks(std::byte* memory) noexcept
{
    ::operator delete (memory, std::align_val_t{kBlockSize});
}

} // namespace

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : memory_{std::exchange(other.memory_, nullptr)}
    , capacity_{std::exchange(other.capacity_, 0)}
    , size_{std::exchange(other.size_, 0)}
    , pool_{std::exchange(other.pool_, nullptr)}
{}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept
{
    if (this != &other) {
        give_back();
        memory_ = std::exchange(other.memory_, nullptr);
        capacity_ = std::exchange(other.capacity_, 0);
        size_ = std::exchange(other.size_, 0);
        pool_ = std::exchange(other.pool_, nullptr);
    }
    return *this;
}

AlignedBuffer::~AlignedBuffer()
{
    give_back();
}

AlignedBuffer AlignedBuffer::allocate(std::size_t capacity)
{
    const auto rounded = (std::max<std::size_t>(capacity, 1) + kBlockSize - 1) / kBlockSize * kBlockSize;
    auto* memory = allocate_blocks(rounded);
    std::memset(memory, 0, rounded);
    return {memory, rounded, nullptr};
}

void AlignedBuffer::set_size(std::size_t size) noexcept
{
    assert(size <= capacity_);
    size_ = size;
}

std::size_t AlignedBuffer::append(std::span<const std::byte> data) noexcept
{
    const auto count = std::min(data.size(), capacity_ - size_);
    if (count > 0) {
        std::memcpy(memory_ + size_, data.data(), count);
        size_ += count;
    }
    return count;
}

void AlignedBuffer::give_back() noexcept
{
    if (memory_ == nullptr) {
        return;
    }
    if (pool_ != nullptr) {
        pool_->give_back(memory_);
    } else {
        free_blocks(memory_);
    }
    memory_ = nullptr;
}

BufferPool::BufferPool(std::size_t budget, std::size_t buffer_size)
    : buffer_size_{buffer_size}, limit_{std::max<std::size_t>(budget / buffer_size, 2)}
{
    assert(buffer_size % kBlockSize == 0 && buffer_size > 0);
    free_.reserve(limit_); // so that give_back() never allocates
}

BufferPool::~BufferPool()
{
    assert(free_.size() == allocated_);
    for (auto* memory : free_) {
        free_blocks(memory);
    }
}

std::optional<AlignedBuffer> BufferPool::try_take(std::size_t leave)
{
    const MutexLock lock{mutex_};
    if (limit_ - allocated_ + free_.size() <= leave) {
        starved_ = true;
        return std::nullopt;
    }
    if (!free_.empty()) {
        auto* memory = free_.back();
        free_.pop_back();
        return AlignedBuffer{memory, buffer_size_, this};
    }
    auto* memory = allocate_blocks(buffer_size_);
    ++allocated_;
    return AlignedBuffer{memory, buffer_size_, this};
}

void BufferPool::on_available(std::function<void()> callback)
{
    const MutexLock lock{mutex_};
    available_ = std::move(callback);
}

std::size_t BufferPool::bytes_taken() const
{
    const MutexLock lock{mutex_};
    return (allocated_ - free_.size()) * buffer_size_;
}

void BufferPool::give_back(std::byte* memory) noexcept
{
    // The callback runs under the lock, so that on_available({}) guarantees that none is running afterwards.
    // It may only post to a loop.
    const MutexLock lock{mutex_};
    free_.push_back(memory);
    if (std::exchange(starved_, false) && available_) {
        available_();
    }
}

} // namespace sluice
