// SPDX-License-Identifier: Apache-2.0
#include "daemon/catalogue.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sluice::daemon {

Result<std::shared_ptr<BlobTree>> Catalogue::add(BlobInfo blob)
{
    const auto known = entries_.find(blob.digest);
    if (known == entries_.end()) {
        const auto digest = blob.digest;
        auto tree = BlobTree::make(services_, std::move(blob));
        if (tree) {
            entries_.emplace(digest, Entry{*tree, {}});
        }
        return tree;
    }
    auto& tree = *known->second.tree;
    const auto& old = tree.blob();
    if (old.root != blob.root || old.erofs_size != blob.erofs_size || old.blob_size != blob.blob_size ||
        old.tree_offset != blob.tree_offset) {
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
    auto repositories = std::move(blob.repositories); // the newest first: it was there a moment ago
    for (const auto& repository : old.repositories) {
        if (std::ranges::find(repositories, repository) == repositories.end()) {
            repositories.push_back(repository);
        }
    }
    tree.set_repositories(std::move(repositories));
    return known->second.tree;
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
