// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/digest.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace sluice::cache {

/// Keeps what was fetched of each blob's hash tree, so that the next start needs not fetch it
/// again: one sparse file a blob. Nothing in it is trusted: whoever reads nodes proves them again,
/// and fetches them where they turn out wrong. Offsets count from the tree's start. Stateless, so
/// thread-safe; blocks for the disk, so for workers only.
class TreeStore {
public:
    /// `directory` exists and is ours alone.
    explicit TreeStore(std::filesystem::path directory);

    /// The bytes of `range` (any alignment, not empty) when all of its blocks were written once;
    /// nothing when some were not, or when the file is missing, too short or unreadable.
    [[nodiscard]] std::optional<std::vector<std::byte>> read(const Digest& blob, ByteRange range) const;

    /// `offset` and the size of `data` are multiples of kBlockSize. A failure loses nothing but
    /// time.
    [[nodiscard]] Result<void> write(const Digest& blob, std::uint64_t offset, std::span<const std::byte> data) const;

    /// Forgets a tree, such as one that failed its proof. Not there: no error.
    [[nodiscard]] Result<void> remove(const Digest& blob) const;

    /// Forgets all trees but these, and whatever else lies in the directory under a tree's name; how many that were.
    [[nodiscard]] Result<std::size_t> remove_others(const std::set<Digest>& kept) const;

private:
    [[nodiscard]] std::filesystem::path file_of(const Digest& blob) const;

    std::filesystem::path directory_;
};

} // namespace sluice::cache
