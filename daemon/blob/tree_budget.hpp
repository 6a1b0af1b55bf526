// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <list>
#include <unordered_map>

namespace sluice::daemon {

class BlobTree;

/// Memory for the hash blocks of all blobs together. When it is used up, the trees that nobody has used for the longest
/// give up hash blocks; those come back from the disk, or from the registry. Loop thread only.
class TreeBudget {
public:
    explicit TreeBudget(std::size_t bytes) : bytes_{bytes} {}

    TreeBudget(const TreeBudget&) = delete;
    TreeBudget& operator=(const TreeBudget&) = delete;
    ~TreeBudget() = default;

    /// `tree` was used, and holds what it says by now. May have other trees drop blocks, and this one too when it alone
    /// is above the budget.
    void used(BlobTree& tree);

    void forget(const BlobTree& tree);

    /// Bytes of hash blocks held by all trees.
    [[nodiscard]] std::size_t held() const noexcept { return held_; }

private:
    struct Entry {
        BlobTree* tree;
        std::size_t held;
    };

    void trim(Entry& entry);

    std::size_t bytes_;
    std::size_t held_ = 0;
    std::list<Entry> entries_; ///< the last used first
    std::unordered_map<const BlobTree*, std::list<Entry>::iterator> by_tree_;
};

} // namespace sluice::daemon
