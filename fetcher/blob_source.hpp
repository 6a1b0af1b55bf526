// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/aligned_buffer.hpp"
#include "base/byte_range.hpp"
#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/task.hpp"
#include "base/urgency.hpp"

#include <cstdint>
#include <functional>
#include <optional>
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

/// What a fetch tells beside its outcome, for those who decide where to ask next.
struct FetchNote {
    bool asked = true; ///< false: it ended before anybody had been asked, which says nothing of the place
    std::optional<milliseconds> retry_after; ///< what the last refusal wished
};

/// Until when, and how urgently; a deadline alone means that somebody waits.
struct FetchTerms {
    // NOLINTNEXTLINE(google-explicit-constructor): a deadline alone says enough
    FetchTerms(Deadline until, Urgency how = Urgency::kDemand, milliseconds quiet = milliseconds{0}) noexcept
        : deadline{until}, urgency{how}, stall{quiet}
    {}

    Deadline deadline;
    Urgency urgency;
    /// 0: the deadline holds, come what may. Else progress decides, and not size: the fetch goes on past the deadline
    /// for as long as no `stall` passes in which not one byte comes. Time in our own queues (for a connection, for a
    /// buffer) does not count.
    milliseconds stall;
    bool once = false;         ///< one attempt: the caller tries again by itself, here or elsewhere
    FetchNote* note = nullptr; ///< filled in if set; must outlive the task
};

/// Takes a fetched range piece by piece, in order, on the loop's thread.
class ChunkSink {
public:
    ChunkSink() = default;
    ChunkSink(const ChunkSink&) = delete;
    ChunkSink& operator=(const ChunkSink&) = delete;
    virtual ~ChunkSink() = default;

    /// `chunk` holds the bytes from `offset` on. Chunks end at multiples of the pool's buffer size
    /// (counted from the blob's start), at the range's end, or, where a transfer broke off, at a multiple of
    /// kBlockSize. Not proved yet.
    virtual void on_chunk(std::uint64_t offset, AlignedBuffer chunk) = 0;

    /// From here on chunks come from `repository`: whom to blame when they prove wrong. Told by MirrorSet, before the
    /// first chunk and at each change.
    virtual void on_source(const std::string& repository) { (void)repository; }
};

/// Gets bytes of blobs; knows nothing of what is proved or kept.
class BlobSource {
public:
    BlobSource() = default;
    BlobSource(const BlobSource&) = delete;
    BlobSource& operator=(const BlobSource&) = delete;
    virtual ~BlobSource() = default;

    /// Fetches `range` (not empty, inside the blob) into `sink`. What may pass (kTransient) is tried again until the
    /// terms' deadline, which makes it kTimeout. Each byte is delivered once, in order; a retry goes on behind the last
    /// block that came. On failure a prefix may have been delivered. `sink` must outlive the task; destroying the task
    /// cancels the transfer.
    [[nodiscard]] virtual Task<Result<void>>
    fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms) = 0;
};

/// Who fetches from a repository, by its printed form; asked once an attempt, so that nothing is only handed on.
using BlobRoute = std::function<BlobSource&(const std::string& repository)>;

} // namespace sluice::fetcher
