// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trust/merkle_geometry.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace sluice::trust {

/// Neighbouring hash blocks of one level.
struct TreeRun {
    unsigned level = 0; ///< 0 is the leaf level
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    ByteRange bytes; ///< counted from the tree's start
};

/// The proved part of a blob's hash tree. It only holds hash blocks that somebody has compared with
/// what their parents (at the top: the signed root) say, so what it answers may be trusted. Belongs
/// to the loop's thread; the hashing itself is done by workers on copies: first_mismatch().
///
/// How a range of data gets proved: fetch and prove what missing_for() names, insert() it, ask
/// again until nothing is missing; then hand expected_of_data() and the data to a worker. trim()
/// may only drop blocks between two turns of the loop, so ask missing_for() again after a
/// suspension.
class MerkleTree {
public:
    MerkleTree(MerkleGeometry geometry, Digest root);
    MerkleTree(MerkleTree&&) noexcept;
    MerkleTree& operator=(MerkleTree&&) noexcept;
    MerkleTree(const MerkleTree&) = delete;
    MerkleTree& operator=(const MerkleTree&) = delete;
    ~MerkleTree();

    [[nodiscard]] const MerkleGeometry& geometry() const noexcept { return geometry_; }

    [[nodiscard]] const Digest& root() const noexcept { return root_; }

    /// The hash blocks to load next before the blocks of `data` (inside the data; grown to whole
    /// blocks) can be proved. Only runs of one level, whose parents are all loaded; empty when
    /// ready. `widen` (1 for none) grows each run to a grid of so many blocks, to save round trips;
    /// blocks that are already here are left out.
    [[nodiscard]] std::vector<TreeRun> missing_for(ByteRange data, std::uint64_t widen) const;

    /// The digests that the hash blocks of `run` must have. Empty when a parent is not loaded,
    /// which no bytes can match.
    [[nodiscard]] std::vector<Digest> expected_of(const TreeRun& run) const;

    /// The digests that the data blocks of `aligned` (whole blocks, inside the data) must have.
    /// Empty as above.
    [[nodiscard]] std::vector<Digest> expected_of_data(ByteRange aligned) const;

    /// Keeps hash blocks. Precondition: first_mismatch(bytes, expected_of(run)) found none.
    void insert(const TreeRun& run, std::span<const std::byte> bytes);

    /// Keeps everything above the leaf level, as proved by prove_upper().
    void insert_upper(std::span<const std::byte> bytes);

    /// Bytes of hash blocks held.
    [[nodiscard]] std::size_t memory() const noexcept;

    /// Drops leaf blocks, the longest unused first, until memory() is within `budget` or only upper
    /// levels are left.
    void trim(std::size_t budget);

private:
    struct Node;
    using Level = std::unordered_map<std::uint64_t, Node>;

    [[nodiscard]] const Node* find(unsigned level, std::uint64_t index) const;
    [[nodiscard]] bool parent_loaded(unsigned level, std::uint64_t index) const;
    [[nodiscard]] std::vector<Digest> digests(unsigned level, std::uint64_t first, std::uint64_t count) const;

    MerkleGeometry geometry_;
    Digest root_;
    std::vector<Level> nodes_;              // by level
    mutable std::list<std::uint64_t> used_; // leaf blocks, the last used first
};

/// The first of these 4096-byte blocks that differs from what is expected, or nothing when all are
/// right. Bytes that are not exactly as many blocks as there are digests never pass. Pure: for
/// workers.
[[nodiscard]] std::optional<std::size_t>
first_mismatch(std::span<const std::byte> blocks, std::span<const Digest> expected);

/// Whether `bytes` are exactly the tree's upper part (geometry.upper_bytes()) under `root`. Pure:
/// for workers.
[[nodiscard]] bool prove_upper(const MerkleGeometry& geometry, const Digest& root, std::span<const std::byte> bytes);

} // namespace sluice::trust
