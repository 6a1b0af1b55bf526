// SPDX-License-Identifier: Apache-2.0
#include "daemon/chunk_writer.hpp"

#include <cassert>
#include <fmt/format.h>

namespace sluice::daemon {

namespace {

/// The one place where fetched bytes reach a backing file: behind the proof.
Result<void> prove_and_write(
    protocol::ObjectHandle& handle, std::uint64_t offset, const AlignedBuffer& chunk, std::span<const Digest> expected
)
{
    if (chunk.size() != expected.size() * kBlockSize) {
        return fail(ErrorKind::kInternal, fmt::format("a chunk of {} bytes at offset {}", chunk.size(), offset));
    }
    if (const auto bad = trust::first_mismatch(chunk.bytes(), expected)) {
        return fail(
            ErrorKind::kCorrupt,
            fmt::format("the block at offset {} does not match the signed hash tree", offset + *bad * kBlockSize)
        );
    }
    return handle.write(offset, chunk.bytes());
}

} // namespace

ChunkWriter::ChunkWriter(
    FillServices& services,
    std::shared_ptr<protocol::ObjectHandle> handle,
    ByteRange range,
    std::vector<Digest> expected,
    std::function<void(ByteRange)> landed
)
    : services_{services}
    , handle_{std::move(handle)}
    , range_{range}
    , expected_{std::move(expected)}
    , landed_{std::move(landed)}
    , idle_{services.loop}
{
    assert(expected_.size() * kBlockSize == range.size());
}

void ChunkWriter::on_chunk(std::uint64_t offset, AlignedBuffer chunk)
{
    const ByteRange range{offset, offset + chunk.size()};
    assert(range_.contains(range) && offset % kBlockSize == 0);
    services_.counters.bytes_fetched += chunk.size();
    const auto first = (offset - range_.begin()) / kBlockSize;
    const auto count = chunk.size() / kBlockSize;
    const auto from = expected_.begin() + static_cast<std::ptrdiff_t>(first);
    std::vector<Digest> digests{from, from + static_cast<std::ptrdiff_t>(count)};

    ++at_work_;
    auto job = [&loop = services_.loop,
                self = weak_from_this(),
                handle = handle_,
                range,
                data = std::move(chunk),
                wanted = std::move(digests)]() mutable {
        auto outcome = prove_and_write(*handle, range.begin(), data, wanted);
        data = {};      // back to the pool before anybody is told, so that a paused transfer goes on at once
        handle.reset(); // a closed object's descriptor must not wait for the loop's next turn
        loop.post([self = std::move(self), range, result = std::move(outcome)] {
            if (const auto writer = self.lock()) {
                writer->done(range, result);
            }
        });
    };
    services_.workers.submit(std::move(job));
}

void ChunkWriter::done(ByteRange range, const Result<void>& outcome)
{
    --at_work_;
    if (outcome) {
        services_.counters.bytes_written += range.size();
        landed_bytes_ += range.size();
        landed_(range);
    } else {
        const bool corrupt = outcome.error().kind() == ErrorKind::kCorrupt;
        ++(corrupt ? services_.counters.verify_failures : services_.counters.write_failures);
        if (outcome_) {
            outcome_ = outcome;
        }
    }
    if (finishing_ && at_work_ == 0) {
        idle_.setter().set(true);
    }
}

Task<Result<void>> ChunkWriter::finish()
{
    finishing_ = true;
    if (at_work_ > 0) {
        (void)co_await idle_;
    }
    co_return outcome_;
}

} // namespace sluice::daemon
