// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/tree_budget.hpp"

#include "daemon/blob/blob_tree.hpp"

namespace sluice::daemon {

void TreeBudget::used(BlobTree& tree)
{
    const auto known = by_tree_.find(&tree);
    if (known == by_tree_.end()) {
        entries_.push_front({&tree, 0});
        by_tree_.emplace(&tree, entries_.begin());
    } else {
        entries_.splice(entries_.begin(), entries_, known->second);
    }
    auto& entry = entries_.front();
    const auto now = tree.memory();
    held_ += now - entry.held;
    entry.held = now;
    for (auto at = entries_.rbegin(); at != entries_.rend() && held_ > bytes_; ++at) {
        trim(*at);
    }
}

void TreeBudget::trim(Entry& entry)
{
    const auto excess = held_ - bytes_;
    entry.tree->trim(entry.held > excess ? entry.held - excess : 0);
    const auto now = entry.tree->memory();
    held_ -= entry.held - now;
    entry.held = now;
}

void TreeBudget::forget(const BlobTree& tree)
{
    if (const auto known = by_tree_.extract(&tree); !known.empty()) {
        held_ -= known.mapped()->held;
        entries_.erase(known.mapped());
    }
}

} // namespace sluice::daemon
