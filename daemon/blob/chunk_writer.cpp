// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/chunk_writer.hpp"

#include "trust/merkle_tree.hpp"

#include <cassert>
#include <fmt/format.h>

namespace sluice::daemon {

namespace {

/// The one place where fetched bytes reach a backing file: behind the proof. A block that does not match is left out,
/// and hurts no other.
ChunkWriter::Outcome
prove_and_write(BackingFile& file, std::uint64_t offset, const AlignedBuffer& chunk, std::span<const Digest> expected)
{
    ChunkWriter::Outcome outcome;
    outcome.generation = file.generation();
    if (chunk.size() != expected.size() * kBlockSize) {
        outcome.result =
            fail(ErrorKind::kInternal, fmt::format("a chunk of {} bytes at offset {}", chunk.size(), offset));
        return outcome;
    }
    for (std::size_t at = 0; at < expected.size();) {
        const auto bad = trust::first_mismatch(chunk.bytes().subspan(at * kBlockSize), expected.subspan(at));
        const auto end = bad ? at + *bad : expected.size();
        const ByteRange proved{offset + at * kBlockSize, offset + end * kBlockSize};
        if (!proved.empty()) {
            const auto bytes = chunk.bytes().subspan(at * kBlockSize, proved.size());
            if (auto written = file.write(proved.begin(), bytes); !written) {
                outcome.result = fail(written.error());
                return outcome;
            }
            outcome.written.push_back(proved);
        }
        if (bad) {
            if (outcome.wrong.empty()) {
                outcome.result = fail(
                    ErrorKind::kCorrupt,
                    fmt::format("the block at offset {} does not match the signed hash tree", proved.end())
                );
            }
            outcome.wrong.push_back({proved.end(), proved.end() + kBlockSize});
        }
        at = end + 1;
    }
    return outcome;
}

} // namespace

ChunkWriter::ChunkWriter(
    FillServices& services,
    std::shared_ptr<BackingFile> file,
    ByteRange range,
    std::vector<Digest> expected,
    Owner owner
)
    : services_{services}
    , file_{std::move(file)}
    , range_{range}
    , expected_{std::move(expected)}
    , owner_{std::move(owner)}
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
                file = file_,
                from = repository_,
                range,
                data = std::move(chunk),
                wanted = std::move(digests)]() mutable {
        auto outcome = prove_and_write(*file, range.begin(), data, wanted);
        data = {};    // back to the pool before anybody is told, so that a paused transfer goes on at once
        file.reset(); // what the blob has open must not wait for the loop's next turn
        loop.post([self = std::move(self), source = std::move(from), result = std::move(outcome)] {
            if (const auto writer = self.lock()) {
                writer->done(source, result);
            }
        });
    };
    services_.workers.submit(std::move(job), owner_.urgency(range));
}

void ChunkWriter::done(const std::string& repository, const Outcome& outcome)
{
    --at_work_;
    for (const auto& range : outcome.written) {
        services_.counters.bytes_written += range.size();
        landed_bytes_ += range.size();
        owner_.landed(range, outcome.generation);
    }
    services_.counters.verify_failures += outcome.wrong.size();
    for (const auto& block : outcome.wrong) {
        owner_.blame(repository, block);
    }
    if (!outcome.result) {
        services_.counters.write_failures += outcome.result.error().kind() == ErrorKind::kCorrupt ? 0U : 1U;
        if (outcome_) {
            outcome_ = fail(outcome.result.error(), fmt::format("from {}", repository));
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
