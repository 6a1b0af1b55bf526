// SPDX-License-Identifier: Apache-2.0
//
// A blob in memory with its hash tree, a source that serves it with scripted faults, and a backing file in memory: what
// the filler stands between.
#pragma once

#include "base/byte_range.hpp"
#include "base/mutex.hpp"
#include "daemon/blob/blob_info.hpp"
#include "fetcher/blob_source.hpp"
#include "protocol/object_handle.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::test {

/// `blocks` data blocks of known content, followed by their tree.
struct FakeBlob {
    explicit FakeBlob(std::uint64_t blocks);

    std::vector<std::byte> bytes; ///< data, then tree
    daemon::BlobInfo info;

    [[nodiscard]] std::span<const std::byte> data(ByteRange range) const
    {
        return std::span{bytes}.subspan(range.begin(), range.size());
    }
};

/// Serves blobs from memory, at once or when released. Loop thread only.
class FakeSource final : public fetcher::BlobSource {
public:
    FakeSource(EventLoop& loop, BufferPool& pool) : loop_{loop}, pool_{pool} {}

    void add(const FakeBlob& blob) { blobs_.insert_or_assign(blob.info.digest, &blob); }

    Task<Result<void>>
    fetch(fetcher::BlobLocation blob, ByteRange range, fetcher::ChunkSink& sink, fetcher::FetchTerms terms) override;

    /// While held, fetches wait.
    void hold() { held_ = true; }

    void release();

    /// Asked before each fetch; an error is its outcome.
    std::function<std::optional<Error>(const fetcher::BlobLocation&, ByteRange)> fault;
    std::optional<milliseconds> retry_after; ///< what the registry wishes when it fails a fetch
    /// May change the bytes on their way.
    std::function<void(std::uint64_t offset, std::span<std::byte>)> tamper;

    std::vector<ByteRange> fetched;          ///< ranges asked for, in order
    std::vector<fetcher::Urgency> urgencies; ///< of the same
    unsigned running = 0;                    ///< fetches at this moment

private:
    EventLoop& loop_;
    BufferPool& pool_;
    std::map<Digest, const FakeBlob*> blobs_;
    bool held_ = false;
    std::vector<OneShot<bool>::Setter> waiting_;
};

/// A backing file in memory. Thread-safe, as an ObjectHandle must be.
class MemoryHandle final : public protocol::ObjectHandle {
public:
    explicit MemoryHandle(std::uint64_t size) : content_(size) {}

    Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override;
    Result<std::vector<ByteRange>> missing(ByteRange range) const override;

    /// How often anybody has asked what is missing.
    [[nodiscard]] unsigned looks() const noexcept { return looks_; }

    /// Whoever asks what is missing has the answer at once, and gets it after go_on().
    void pause_looks();
    void go_on();

    void fail_writes(std::optional<Error> why);

    /// As fallocate(2) punches one.
    void punch_hole(ByteRange range);

    [[nodiscard]] RangeSet present() const;
    [[nodiscard]] std::vector<std::byte> content(ByteRange range) const;

private:
    mutable Mutex mutex_;
    std::vector<std::byte> content_ SLUICE_GUARDED_BY(mutex_);
    RangeSet present_ SLUICE_GUARDED_BY(mutex_);
    std::optional<Error> fault_ SLUICE_GUARDED_BY(mutex_);
    bool paused_ SLUICE_GUARDED_BY(mutex_) = false;
    mutable Condition went_on_;
    mutable std::atomic<unsigned> looks_ = 0;
};

} // namespace sluice::test
