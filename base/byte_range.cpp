// SPDX-License-Identifier: Apache-2.0
#include "base/byte_range.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace sluice {

std::optional<ByteRange> ByteRange::from_length(std::uint64_t offset, std::uint64_t length) noexcept
{
    // The kernel's loff_t is signed: what does not fit 63 bits cannot be a place in a file.
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (offset > kMax || length > kMax - offset) {
        return std::nullopt;
    }
    return ByteRange{offset, offset + length};
}

ByteRange ByteRange::intersect(ByteRange other) const noexcept
{
    const auto begin = std::max(begin_, other.begin_);
    return {begin, std::max(begin, std::min(end_, other.end_))};
}

ByteRange ByteRange::align_out(std::uint64_t grain) const noexcept
{
    const auto mask = grain - 1;
    const auto end = end_ > std::numeric_limits<std::uint64_t>::max() - mask ? ~mask : (end_ + mask) & ~mask;
    return {begin_ & ~mask, end};
}

std::string ByteRange::to_string() const
{
    return empty() ? std::string{"empty"} : fmt::format("{}-{}", begin_, end_ - 1);
}

std::vector<ByteRange>::const_iterator RangeSet::first_ending_after(std::uint64_t offset) const noexcept
{
    return std::ranges::upper_bound(ranges_, offset, {}, &ByteRange::end);
}

void RangeSet::add(ByteRange range)
{
    if (range.empty()) {
        return;
    }
    // Touching neighbours are merged too, hence lower_bound on the end and <= on the begin.
    auto first = std::ranges::lower_bound(ranges_, range.begin(), {}, &ByteRange::end);
    auto last = first;
    auto begin = range.begin();
    auto end = range.end();
    while (last != ranges_.end() && last->begin() <= range.end()) {
        begin = std::min(begin, last->begin());
        end = std::max(end, last->end());
        ++last;
    }
    first = ranges_.erase(first, last);
    ranges_.insert(first, ByteRange{begin, end});
}

void RangeSet::remove(ByteRange range)
{
    if (range.empty()) {
        return;
    }
    std::vector<ByteRange> kept;
    kept.reserve(ranges_.size() + 1);
    for (const auto& r : ranges_) {
        if (!r.overlaps(range)) {
            kept.push_back(r);
            continue;
        }
        if (r.begin() < range.begin()) {
            kept.push_back({r.begin(), range.begin()});
        }
        if (range.end() < r.end()) {
            kept.push_back({range.end(), r.end()});
        }
    }
    ranges_ = std::move(kept);
}

bool RangeSet::overlaps(ByteRange range) const noexcept
{
    const auto it = first_ending_after(range.begin());
    return it != ranges_.end() && it->overlaps(range);
}

bool RangeSet::contains(ByteRange range) const noexcept
{
    if (range.empty()) {
        return true;
    }
    const auto it = first_ending_after(range.begin());
    return it != ranges_.end() && it->contains(range);
}

std::vector<ByteRange> RangeSet::inside(ByteRange range) const
{
    std::vector<ByteRange> found;
    for (auto it = first_ending_after(range.begin()); it != ranges_.end() && it->begin() < range.end(); ++it) {
        if (const auto part = it->intersect(range); !part.empty()) {
            found.push_back(part);
        }
    }
    return found;
}

std::vector<ByteRange> RangeSet::outside(ByteRange range) const
{
    std::vector<ByteRange> gaps;
    auto at = range.begin();
    for (const auto& part : inside(range)) {
        if (at < part.begin()) {
            gaps.push_back({at, part.begin()});
        }
        at = part.end();
    }
    if (at < range.end()) {
        gaps.push_back({at, range.end()});
    }
    return gaps;
}

std::uint64_t RangeSet::size() const noexcept
{
    std::uint64_t total = 0;
    for (const auto& r : ranges_) {
        total += r.size();
    }
    return total;
}

} // namespace sluice
