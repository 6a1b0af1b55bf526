// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "daemon/blob/blob_tree.hpp"
#include "fetcher/blob_source.hpp"
#include "protocol/device.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace sluice::daemon {

/// Takes the chunks of one fetched range; on workers, proves each block against its digest and only then writes it.
/// Loop thread; a worker's result that comes after the writer has gone is dropped.
class ChunkWriter final : public fetcher::ChunkSink, public std::enable_shared_from_this<ChunkWriter> {
public:
    /// What has become of one chunk.
    struct Outcome {
        std::vector<ByteRange> written; ///< proved, and in the file
        std::uint64_t bad_blocks = 0;   ///< do not match, and were left out
        Result<void> result;            ///< of the whole chunk: why the rest of it is not in the file
    };

    /// `expected` holds the digest of each block of `range`; `landed` is told of what is in the file.
    ChunkWriter(
        FillServices& services,
        std::shared_ptr<protocol::ObjectHandle> handle,
        ByteRange range,
        std::vector<Digest> expected,
        std::function<void(ByteRange)> landed
    );

    void on_chunk(std::uint64_t offset, AlignedBuffer chunk) override;

    /// After the fetch has ended: waits for the workers, and yields their first failure.
    [[nodiscard]] Task<Result<void>> finish();

    /// Whether every byte of the range is in the file.
    [[nodiscard]] bool complete() const noexcept { return landed_bytes_ == range_.size(); }

private:
    void done(const Outcome& outcome);

    FillServices& services_;
    std::shared_ptr<protocol::ObjectHandle> handle_;
    ByteRange range_;
    std::vector<Digest> expected_;
    std::function<void(ByteRange)> landed_;
    unsigned at_work_ = 0;
    std::uint64_t landed_bytes_ = 0;
    Result<void> outcome_;
    OneShot<bool> idle_;
    bool finishing_ = false;
};

} // namespace sluice::daemon
