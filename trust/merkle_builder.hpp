// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trust/merkle_geometry.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::trust {

/// Makes the tree of data that is fed in order. Holds the leaf digests in memory: 1/128 of the
/// data. Not thread-safe.
class MerkleBuilder {
public:
    struct Tree {
        Digest root;
        std::vector<std::byte> bytes; ///< geometry's layout: top level first; empty for one block of data
        std::uint64_t data_size = 0;  ///< bytes that were fed, before padding
    };

    void update(std::span<const std::byte> data);

    /// Ends the data; a last partial block counts as padded with zeros (dm-verity itself knows
    /// whole blocks only). The builder is as new afterwards.
    [[nodiscard]] Tree finish();

private:
    void add_block(std::span<const std::byte> block);

    std::vector<std::byte> leaf_;    // digests of data blocks, one behind the other
    std::vector<std::byte> partial_; // less than a block
    std::uint64_t size_ = 0;
};

/// The fs-verity file digest (SHA-256, no salt) that belongs to a root: what `fsverity digest`
/// prints.
[[nodiscard]] Digest fsverity_digest(const Digest& root, std::uint64_t file_size);

} // namespace sluice::trust
