// SPDX-License-Identifier: Apache-2.0
#include "cache/stream_detector.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::cache {
namespace {

// The READs of one reader may overtake each other a little: two of the kernel's own readahead
// windows.
constexpr std::uint64_t kReordering = 256 * 1024;

} // namespace

StreamDetector::StreamDetector(std::size_t max_streams, std::uint64_t slack)
    : max_streams_{std::max<std::size_t>(max_streams, 1)}, slack_{slack}
{}

bool StreamDetector::continues(const ReadStream& stream, std::uint64_t at) const noexcept
{
    if (at > stream.planned + slack_) {
        return false;
    }
    if (stream.window > 0) {
        return at + kReordering >= stream.position;
    }
    // Not proved yet: where it stopped, or behind all that was fetched for it; in between is as
    // random as elsewhere.
    return at >= stream.position && (at <= stream.position + slack_ || at >= stream.planned);
}

ReadStream* StreamDetector::find(ByteRange wanted) noexcept
{
    // Of several candidates the one whose reader is nearest: readers may follow each other through
    // one file.
    ReadStream* best = nullptr;
    std::uint64_t best_distance = 0;
    for (auto& stream : streams_) {
        if (!continues(stream, wanted.begin())) {
            continue;
        }
        const std::uint64_t distance =
            wanted.begin() < stream.position ? stream.position - wanted.begin() : wanted.begin() - stream.position;
        if (best == nullptr || distance < best_distance) {
            best = &stream;
            best_distance = distance;
        }
    }
    return best;
}

StreamDetector::Match StreamDetector::observe(ByteRange wanted)
{
    assert(!wanted.empty());
    ++reads_;
    if (ReadStream* stream = find(wanted); stream != nullptr) {
        stream->position = std::max(stream->position, wanted.end());
        stream->planned = std::max(stream->planned, stream->position);
        stream->last_use = reads_;
        return {*stream, true};
    }
    const ReadStream fresh{
        .begin = wanted.begin(), .position = wanted.end(), .planned = wanted.end(), .window = 0, .last_use = reads_};
    if (streams_.size() < max_streams_) {
        streams_.push_back(fresh);
        return {streams_.back(), false};
    }
    auto& oldest = *std::ranges::min_element(streams_, {}, &ReadStream::last_use);
    oldest = fresh;
    return {oldest, false};
}

std::size_t StreamDetector::active() const noexcept
{
    const std::uint64_t lately = 4 * std::uint64_t{max_streams_};
    return static_cast<std::size_t>(std::ranges::count_if(streams_, [&](const ReadStream& stream) {
        return stream.window > 0 && stream.last_use + lately >= reads_;
    }));
}

} // namespace sluice::cache
