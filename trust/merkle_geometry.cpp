// SPDX-License-Identifier: Apache-2.0
#include "trust/merkle_geometry.hpp"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>

namespace sluice::trust {

Result<MerkleGeometry> MerkleGeometry::for_size(std::uint64_t data_size)
{
    if (data_size == 0 || data_size % kBlockSize != 0) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("hash tree over {} bytes: must be a multiple of {}, and not 0", data_size, kBlockSize)
        );
    }
    if (data_size > kMaxDataSize) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("hash tree over {} bytes: more than the {} supported", data_size, kMaxDataSize)
        );
    }
    return for_blocks(data_size / kBlockSize);
}

MerkleGeometry MerkleGeometry::for_blocks(std::uint64_t data_blocks) noexcept
{
    assert(data_blocks <= kMaxDataSize / kBlockSize);
    MerkleGeometry geometry;
    geometry.data_blocks_ = data_blocks;
    for (std::uint64_t digests = data_blocks; digests > 1;) {
        digests = (digests + kDigestsPerBlock - 1) / kDigestsPerBlock;
        geometry.level_[geometry.levels_++].blocks = digests;
    }
    for (unsigned level = geometry.levels_; level-- > 0;) { // the top is stored first
        geometry.level_[level].offset = geometry.tree_size_;
        geometry.tree_size_ += geometry.level_[level].blocks * kBlockSize;
    }
    return geometry;
}

std::uint64_t MerkleGeometry::blocks(unsigned level) const noexcept
{
    assert(level < levels_);
    return level_[level].blocks;
}

ByteRange MerkleGeometry::bytes(unsigned level, std::uint64_t first, std::uint64_t count) const noexcept
{
    assert(first <= blocks(level) && count <= blocks(level) - first);
    const auto begin = level_[level].offset + first * kBlockSize;
    return {begin, begin + count * kBlockSize};
}

ByteRange MerkleGeometry::upper_bytes() const noexcept
{
    return levels_ == 0 ? ByteRange{} : ByteRange{0, level_[0].offset};
}

std::uint64_t MerkleGeometry::digests_in(unsigned level, std::uint64_t index) const noexcept
{
    assert(index < blocks(level));
    const auto below = level == 0 ? data_blocks_ : level_[level - 1].blocks;
    return std::min(kDigestsPerBlock, below - index * kDigestsPerBlock);
}

} // namespace sluice::trust
