// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "daemon/blob/backing_file.hpp"
#include "daemon/blob/fill_services.hpp"
#include "fetcher/blob_source.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::daemon {

/// Takes the chunks of one fetched range; on workers, proves each block against its digest and only then writes it.
/// Loop thread; a worker's result that comes after the writer has gone is dropped.
class ChunkWriter final : public fetcher::ChunkSink, public std::enable_shared_from_this<ChunkWriter> {
public:
    /// What has become of one chunk.
    struct Outcome {
        std::vector<ByteRange> written; ///< proved, and in the file
        std::uint64_t generation = 0;   ///< of the file, before it was written to
        std::vector<ByteRange> wrong;   ///< blocks that do not match, and were left out
        Result<void> result;            ///< of the whole chunk: why the rest of it is not in the file
    };

    /// Who has begun the fetch.
    struct Owner {
        /// Told of what is in the file.
        std::function<void(ByteRange, std::uint64_t generation)> landed;
        /// `repository` has sent bytes that do not match.
        std::function<void(const std::string& repository, ByteRange)> blame;
        /// How urgent a chunk is by now: somebody may have come to wait for it since the fetch began.
        std::function<Urgency(ByteRange)> urgency;
    };

    /// `expected` holds the digest of each block of `range`.
    ChunkWriter(
        FillServices& services,
        std::shared_ptr<BackingFile> file,
        ByteRange range,
        std::vector<Digest> expected,
        Owner owner
    );

    void on_chunk(std::uint64_t offset, AlignedBuffer chunk) override;

    void on_source(const std::string& repository) override { repository_ = repository; }

    /// After the fetch has ended: waits for the workers, and yields their first failure.
    [[nodiscard]] Task<Result<void>> finish();

    /// Whether every byte of the range is in the file.
    [[nodiscard]] bool complete() const noexcept { return landed_bytes_ == range_.size(); }

private:
    void done(const std::string& repository, const Outcome& outcome);

    FillServices& services_;
    std::shared_ptr<BackingFile> file_;
    ByteRange range_;
    std::vector<Digest> expected_;
    Owner owner_;
    std::string repository_; ///< whose chunks are coming
    unsigned at_work_ = 0;
    std::uint64_t landed_bytes_ = 0;
    Result<void> outcome_;
    OneShot<bool> idle_;
    bool finishing_ = false;
};

} // namespace sluice::daemon
