// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "cache/stream_detector.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::cache {

/// How much more to fetch than was asked for. The kernel asks for 128 KiB at a time and only where
/// it hits a hole, so what is fetched beyond that decides the speed. Sizes are bytes; they are
/// rounded up to whole blocks.
struct ReadPolicy {
    std::uint64_t max_request = 4U << 20U;    ///< the longest single fetch
    std::uint64_t first_window = 512U << 10U; ///< the most ahead of a reader that has just turned out to be sequential
    std::uint64_t read_ahead = 16U << 20U;    ///< the largest window ahead of one reader; 0 turns readahead off
    std::uint64_t total_read_ahead = 64U << 20U; ///< all windows of one object together; divided among its readers
    std::uint64_t random_window = 64U << 10U;    ///< a power of two: what a READ out of the blue is rounded to
    std::uint64_t metadata_window = 1U << 20U;   ///< fetched at once when the first READ is for the object's start
    std::size_t max_streams = 128;               ///< sequential readers told apart in one object
};

/// Ranges to have in the file: block-aligned, inside the object, each at most `max_request`, in the
/// order of their use, disjoint. Not filtered by presence: the daemon subtracts what is there or in
/// flight.
struct ReadPlan {
    std::vector<ByteRange> demand;    ///< covers the wanted range; the reader waits for it
    std::vector<ByteRange> readahead; ///< nobody waits for these
};

/// Plans the fetches of one opened object from its history of READs. Tell it of every READ, those
/// that are in flight already too: they show how far the readers have come. Pure; belongs to the
/// loop's thread.
class ReadPlanner {
public:
    /// `object_size`: the EROFS size. Its last block counts as whole.
    ReadPlanner(const ReadPolicy& policy, std::uint64_t object_size);

    /// `wanted` as it came, of any alignment. What lies beyond the object is not planned: a READ
    /// wholly there yields an empty plan.
    [[nodiscard]] ReadPlan plan(ByteRange wanted);

    /// The wanted range alone and nothing else, for when readahead is suspended (no space, shutting
    /// down).
    [[nodiscard]] ReadPlan plan_bare(ByteRange wanted) const;

private:
    void read_sequentially(ReadStream& stream, ReadPlan& plan);
    void append(std::vector<ByteRange>& to, ByteRange range) const;

    ReadPolicy policy_;
    ByteRange object_; // to whole blocks
    StreamDetector streams_;
    bool first_ = true;
};

} // namespace sluice::cache
