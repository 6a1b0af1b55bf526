// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "lib/session.hpp"
#include "lib/sluice_client.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace sluice::lib {

class Blob;
class BlobFile;

/// One reading of a blob, a step at a time: what is there is copied, and what is not is asked for. Both the blocking
/// and the asynchronous read are made of it. One thread at a time.
class AsyncRead {
public:
    struct Step {
        enum class What { kDone, kAgain, kFill } what = What::kDone;
        std::uint64_t offset = 0; ///< kFill: what has to be brought in before the next step
        std::uint64_t length = 0;
    };

    AsyncRead(std::shared_ptr<Blob> blob, std::span<std::byte> out, std::uint64_t offset, TimePoint deadline);

    /// Goes on for a bounded amount of work. `max_fill`: bytes that may be asked for at once.
    [[nodiscard]] Step step(std::uint64_t max_fill);
    /// How the fill went that step() has asked for.
    void filled(int status);
    /// Ends it with a negative errno, or with what was read before.
    void stop(int status) noexcept;

    [[nodiscard]] std::int64_t result() const noexcept { return done_ > 0 ? done_ : error_; }

    [[nodiscard]] TimePoint deadline() const noexcept { return deadline_; }

    [[nodiscard]] const Blob& blob() const noexcept { return *blob_; }

    // The client's own notes, guarded by its mutex.
    std::uint64_t id = 0;
    void* user = nullptr;
    Session::RequestId waits_for = 0; ///< 0: for its turn
    bool cancelled = false;
    AsyncRead* next = nullptr; ///< in a ReadQueue

private:
    std::shared_ptr<Blob> blob_;
    std::span<std::byte> out_;
    std::uint64_t offset_;
    TimePoint deadline_;
    std::int64_t done_ = 0;
    int error_ = 0;
    std::shared_ptr<BlobFile> filled_file_; ///< where a fill has just been asked for
    bool just_filled_ = false;
};

/// Reads that have something to do, first come first served. Adding needs no memory, so that none is ever lost. A read
/// is in it once at most, and not destroyed while it is.
class ReadQueue {
public:
    void push(AsyncRead& read) noexcept
    {
        read.next = nullptr;
        (last_ != nullptr ? last_->next : first_) = &read;
        last_ = &read;
    }

    /// Precondition: not empty.
    [[nodiscard]] AsyncRead& pop() noexcept
    {
        auto& read = *first_;
        first_ = read.next;
        last_ = first_ != nullptr ? last_ : nullptr;
        return read;
    }

    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

    void clear() noexcept { first_ = last_ = nullptr; }

private:
    AsyncRead* first_ = nullptr;
    AsyncRead* last_ = nullptr;
};

} // namespace sluice::lib
