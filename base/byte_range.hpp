// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

inline constexpr std::uint64_t kBlockSize = 4096; ///< EROFS block, Merkle block, and the grain of every write

/// Half-open range of bytes [begin, end). A default one is empty. `begin <= end` always holds.
class ByteRange {
public:
    constexpr ByteRange() noexcept = default;

    /// Clamps to an empty range when `end < begin`.
    constexpr ByteRange(std::uint64_t begin, std::uint64_t end) noexcept
        : begin_{begin}, end_{end < begin ? begin : end}
    {}

    /// From offset and length as they come from outside; nothing when the sum overflows 63 bits.
    [[nodiscard]] static std::optional<ByteRange> from_length(std::uint64_t offset, std::uint64_t length) noexcept;

    [[nodiscard]] constexpr std::uint64_t begin() const noexcept { return begin_; }

    [[nodiscard]] constexpr std::uint64_t end() const noexcept { return end_; }

    [[nodiscard]] constexpr std::uint64_t size() const noexcept { return end_ - begin_; }

    [[nodiscard]] constexpr bool empty() const noexcept { return begin_ == end_; }

    [[nodiscard]] constexpr bool contains(ByteRange other) const noexcept
    {
        return other.empty() || (begin_ <= other.begin_ && other.end_ <= end_);
    }

    [[nodiscard]] constexpr bool overlaps(ByteRange other) const noexcept
    {
        return begin_ < other.end_ && other.begin_ < end_ && !empty() && !other.empty();
    }

    [[nodiscard]] ByteRange intersect(ByteRange other) const noexcept;

    /// Grown outwards to multiples of `grain` (a power of two); the end stays within 64 bits.
    [[nodiscard]] ByteRange align_out(std::uint64_t grain) const noexcept;

    /// "4096-8191" as in an HTTP Range header; "empty" for an empty range.
    [[nodiscard]] std::string to_string() const;

    friend constexpr auto operator<=>(const ByteRange&, const ByteRange&) noexcept = default;

private:
    std::uint64_t begin_ = 0;
    std::uint64_t end_ = 0;
};

/// A set of bytes as sorted, disjoint, non-touching ranges. A value type; not thread-safe.
class RangeSet {
public:
    RangeSet() = default;

    void add(ByteRange range);
    void remove(ByteRange range);

    [[nodiscard]] bool overlaps(ByteRange range) const noexcept;
    [[nodiscard]] bool contains(ByteRange range) const noexcept;

    /// What of `range` is in the set, and what is not; both sorted.
    [[nodiscard]] std::vector<ByteRange> inside(ByteRange range) const;
    [[nodiscard]] std::vector<ByteRange> outside(ByteRange range) const;

    [[nodiscard]] const std::vector<ByteRange>& ranges() const noexcept { return ranges_; }

    [[nodiscard]] bool empty() const noexcept { return ranges_.empty(); }

    /// Bytes in the set.
    [[nodiscard]] std::uint64_t size() const noexcept;

private:
    [[nodiscard]] std::vector<ByteRange>::const_iterator first_ending_after(std::uint64_t offset) const noexcept;

    std::vector<ByteRange> ranges_;
};

} // namespace sluice
