// SPDX-License-Identifier: Apache-2.0
#include "cache/fetch_planner.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace sluice::cache {
namespace {

constexpr std::uint64_t kMaxSize = std::numeric_limits<std::int64_t>::max();

std::uint64_t whole_blocks(std::uint64_t size)
{
    return ByteRange{0, std::min(size, kMaxSize)}.align_out(kBlockSize).end();
}

ReadPolicy sanitized(ReadPolicy policy)
{
    policy.max_request = std::max(whole_blocks(policy.max_request), kBlockSize);
    policy.read_ahead = whole_blocks(policy.read_ahead);
    policy.total_read_ahead = std::max(whole_blocks(policy.total_read_ahead), policy.read_ahead);
    policy.first_window = std::min(whole_blocks(policy.first_window), policy.read_ahead);
    policy.random_window = std::bit_ceil(std::max(policy.random_window, kBlockSize));
    policy.metadata_window = whole_blocks(policy.metadata_window);
    return policy;
}

} // namespace

ReadPlanner::ReadPlanner(const ReadPolicy& policy, std::uint64_t object_size)
    : policy_{sanitized(policy)}
    , object_{0, whole_blocks(object_size)}
    , streams_{policy_.max_streams, policy_.random_window}
{}

void ReadPlanner::append(std::vector<ByteRange>& to, ByteRange range) const
{
    for (std::uint64_t at = range.begin(); at < range.end();) {
        const std::uint64_t end = at + std::min(policy_.max_request, range.end() - at);
        to.push_back({at, end});
        at = end;
    }
}

ReadPlan ReadPlanner::plan_bare(ByteRange wanted) const
{
    ReadPlan plan;
    append(plan.demand, wanted.align_out(kBlockSize).intersect(object_));
    return plan;
}

ReadPlan ReadPlanner::plan(ByteRange wanted)
{
    const ByteRange blocks = wanted.align_out(kBlockSize).intersect(object_);
    if (wanted.empty() || blocks.empty()) {
        return {};
    }
    const bool first = std::exchange(first_, false);
    const auto [stream, known] = streams_.observe(blocks);
    ReadPlan plan;

    if (first && blocks.begin() == 0) {
        // A mount: superblock first, and what it will ask for block by block right after. The
        // reader waits for its own.
        append(plan.demand, blocks);
        append(plan.readahead, ByteRange{blocks.end(), policy_.metadata_window}.intersect(object_));
        stream.planned = std::max(stream.planned, std::min(policy_.metadata_window, object_.end()));
        return plan;
    }
    if (known && policy_.read_ahead > 0) {
        append(plan.demand, blocks);
        read_sequentially(stream, plan);
        return plan;
    }
    const ByteRange rounded = blocks.align_out(policy_.random_window).intersect(object_);
    append(plan.demand, rounded);
    stream.planned = rounded.end();
    return plan;
}

void ReadPlanner::read_sequentially(ReadStream& stream, ReadPlan& plan)
{
    // The window grows each time that its reader has used up half of it, and never while the reader
    // stands still.
    const bool starting = stream.window == 0;
    if (starting) {
        // As much again as it has read: random reads that happen to meet cost no more than they asked for.
        stream.window = std::min(stream.position - stream.begin, policy_.first_window);
    } else if (stream.planned - stream.position > stream.window / 2) {
        return;
    } else {
        const std::uint64_t share = policy_.total_read_ahead / std::max<std::size_t>(streams_.active(), 1);
        const std::uint64_t largest = std::clamp(whole_blocks(share), policy_.first_window, policy_.read_ahead);
        stream.window = std::min(stream.window * 2, largest);
    }
    const std::uint64_t end = std::min(stream.position + stream.window, object_.end());
    if (end <= stream.planned) {
        return;
    }
    append(plan.readahead, {stream.planned, end});
    stream.planned = end;
}

} // namespace sluice::cache
