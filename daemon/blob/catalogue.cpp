// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/catalogue.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sluice::daemon {

namespace {

Result<void> same_truth(const BlobInfo& old, const BlobInfo& blob)
{
    if (old.root == blob.root && old.erofs_size == blob.erofs_size && old.blob_size == blob.blob_size &&
        old.tree_offset == blob.tree_offset) {
        return {};
    }
    return fail(
        ErrorKind::kCorrupt,
        fmt::format(
            "blob {}: another image describes it with root {} and {} bytes, this one with root {} and {} bytes",
            blob.digest.to_string(),
            old.root.to_string(),
            old.erofs_size,
            blob.root.to_string(),
            blob.erofs_size
        )
    );
}

} // namespace

Result<std::shared_ptr<BlobTree>> Catalogue::candidate(BlobInfo blob) const
{
    const auto known = entries_.find(blob.digest);
    if (known == entries_.end()) {
        return BlobTree::make(services_, std::move(blob));
    }
    if (auto same = same_truth(known->second.tree->blob(), blob); !same) {
        return fail(same.error());
    }
    return known->second.tree;
}

Result<void> Catalogue::add(const std::shared_ptr<BlobTree>& proved, const std::vector<std::string>& repositories)
{
    const auto [entry, is_new] = entries_.try_emplace(proved->blob().digest, Entry{proved, {}});
    auto& tree = *entry->second.tree;
    if (is_new) {
        return {};
    }
    if (auto same = same_truth(tree.blob(), proved->blob()); !same) {
        return same;
    }
    auto merged = repositories; // the newest first: it was there a moment ago
    for (const auto& repository : tree.blob().repositories) {
        if (std::ranges::find(merged, repository) == merged.end()) {
            merged.push_back(repository);
        }
    }
    tree.set_repositories(std::move(merged));
    return {};
}

Result<std::shared_ptr<BlobTree>> Catalogue::add(BlobInfo blob)
{
    const auto digest = blob.digest;
    const auto repositories = blob.repositories;
    auto tree = candidate(std::move(blob));
    if (!tree) {
        return tree;
    }
    if (auto added = add(*tree, repositories); !added) {
        return fail(added.error());
    }
    return entries_.at(digest).tree;
}

Catalogue::Entry* Catalogue::find(const Digest& digest)
{
    const auto it = entries_.find(digest);
    return it == entries_.end() ? nullptr : &it->second;
}

Catalogue::Entry* Catalogue::find_cookie(std::string_view cookie)
{
    const auto digest = Digest::parse_hex(cookie);
    return digest ? find(*digest) : nullptr;
}

} // namespace sluice::daemon
