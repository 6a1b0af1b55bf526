// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/aligned_buffer.hpp"
#include "base/byte_range.hpp"
#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/task.hpp"
#include "base/urgency.hpp"

#include <cstdint>
#include <string>

namespace sluice::fetcher {

/// Where a blob lies: a repository ("registry.example:5000/team/app", or "oci:/path" for an image
/// layout directory) and the descriptor that names it there.
struct BlobLocation {
    std::string repository;
    Digest digest;
    std::uint64_t size = 0; ///< of the whole blob, hash tree and index included; bytes
};

using Urgency = sluice::Urgency;

/// Until when, and how urgently; a deadline alone means that somebody waits.
struct FetchTerms {
    FetchTerms(Deadline until, Urgency how = Urgency::kDemand) noexcept : deadline{until}, urgency{how} {}

    Deadline deadline;
    Urgency urgency;
};

/// Takes a fetched range piece by piece, in order, on the loop's thread.
class ChunkSink {
public:
    ChunkSink() = default;
    ChunkSink(const ChunkSink&) = delete;
    ChunkSink& operator=(const ChunkSink&) = delete;
    virtual ~ChunkSink() = default;

    /// `chunk` holds the bytes from `offset` on. Chunks end at multiples of the pool's buffer size
    /// (counted from the blob's start) or at the range's end. Not proved yet.
    virtual void on_chunk(std::uint64_t offset, AlignedBuffer chunk) = 0;
};

/// Gets bytes of blobs; knows nothing of what is proved or kept.
class BlobSource {
public:
    BlobSource() = default;
    BlobSource(const BlobSource&) = delete;
    BlobSource& operator=(const BlobSource&) = delete;
    virtual ~BlobSource() = default;

    /// Fetches `range` (not empty, inside the blob) into `sink`, retrying by kind of error until
    /// the terms' deadline. Each byte is delivered once, in order; a retry goes on behind the last chunk
    /// delivered. On failure a prefix may have been delivered. `sink` must outlive the task;
    /// destroying the task cancels the transfer.
    [[nodiscard]] virtual Task<Result<void>>
    fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms) = 0;
};

} // namespace sluice::fetcher
