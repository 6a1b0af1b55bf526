// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/digest.hpp"
#include "base/result.hpp"

#include <array>
#include <cstdint>

namespace sluice::trust {

inline constexpr std::uint64_t kDigestsPerBlock = kBlockSize / Digest::kSize;

/// Where the hash blocks of a dm-verity tree lie: SHA-256, 4096-byte blocks, no salt, no
/// superblock. Level 0 is the leaf level (its digests are those of data blocks); the highest level
/// is one block and is stored first. A value; pure arithmetic.
class MerkleGeometry {
public:
    static constexpr std::uint64_t kMaxDataSize = std::uint64_t{1} << 56; ///< nothing here can overflow below it
    static constexpr unsigned kMaxLevels = 7;

    /// For data of `data_size` bytes: a multiple of 4096, not 0, at most kMaxDataSize; Invalid
    /// otherwise.
    [[nodiscard]] static Result<MerkleGeometry> for_size(std::uint64_t data_size);

    /// For a count of data blocks that is in bounds by construction. 0 and 1 have no hash blocks.
    [[nodiscard]] static MerkleGeometry for_blocks(std::uint64_t data_blocks) noexcept;

    [[nodiscard]] std::uint64_t data_size() const noexcept { return data_blocks_ * kBlockSize; }

    [[nodiscard]] std::uint64_t data_blocks() const noexcept { return data_blocks_; }

    /// 0 when the data is one block: the root is then that block's digest.
    [[nodiscard]] unsigned levels() const noexcept { return levels_; }

    /// Bytes of all hash blocks.
    [[nodiscard]] std::uint64_t tree_size() const noexcept { return tree_size_; }

    /// Hash blocks of `level`, which must be below levels().
    [[nodiscard]] std::uint64_t blocks(unsigned level) const noexcept;

    /// Bytes, counted from the tree's start, of `count` hash blocks of `level` from `first` on;
    /// they must exist.
    [[nodiscard]] ByteRange bytes(unsigned level, std::uint64_t first, std::uint64_t count) const noexcept;

    /// All of one level.
    [[nodiscard]] ByteRange bytes(unsigned level) const noexcept { return bytes(level, 0, blocks(level)); }

    /// The front of the tree: everything but the leaf level. 1/128 of the tree, and best fetched in
    /// one go.
    [[nodiscard]] ByteRange upper_bytes() const noexcept;

    /// How many digests hash block `index` of `level` holds (the last of a level may hold fewer
    /// than 128).
    [[nodiscard]] std::uint64_t digests_in(unsigned level, std::uint64_t index) const noexcept;

    friend bool operator==(const MerkleGeometry&, const MerkleGeometry&) noexcept = default;

private:
    struct Level {
        std::uint64_t blocks = 0;
        std::uint64_t offset = 0;

        friend bool operator==(const Level&, const Level&) noexcept = default;
    };

    MerkleGeometry() noexcept = default;

    std::uint64_t data_blocks_ = 0;
    std::uint64_t tree_size_ = 0;
    unsigned levels_ = 0;
    std::array<Level, kMaxLevels> level_{};
};

} // namespace sluice::trust
