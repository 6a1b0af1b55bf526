// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/catalogue.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <iterator>

namespace sluice::daemon {

Catalogue::Entry& Catalogue::add(BlobInfo blob)
{
    const auto identity = identity_of(blob);
    const auto known = entries_.find(identity);
    if (known == entries_.end()) {
        by_digest_.emplace(blob.digest, identity);
        auto& entry = entries_.emplace(identity, Entry{std::move(blob), {}}).first->second;
        if (on_change) {
            on_change(identity);
        }
        return entry;
    }
    auto& info = known->second.info;
    info.compressed = info.compressed || blob.compressed;
    info.repositories = join_repositories(std::move(blob.repositories), info.repositories);
    return known->second;
}

Catalogue::Entry* Catalogue::find(const Digest& identity)
{
    const auto it = entries_.find(identity);
    return it == entries_.end() ? nullptr : &it->second;
}

const Catalogue::Entry* Catalogue::find(const Digest& identity) const
{
    const auto it = entries_.find(identity);
    return it == entries_.end() ? nullptr : &it->second;
}

const Catalogue::Entry* Catalogue::find_cookie(std::string_view cookie) const
{
    const auto identity = Digest::parse_hex(cookie);
    return identity ? find(*identity) : nullptr;
}

Result<const BlobInfo*> Catalogue::find_digest(const Digest& digest) const
{
    const auto [first, last] = by_digest_.equal_range(digest);
    if (first == last) {
        return fail(ErrorKind::kNotFound, fmt::format("no registered image has blob {}", digest.to_string()), ENOENT);
    }
    if (std::next(first) != last) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "blob {}: registered images disagree about it; name the image and the layer", digest.to_string()
            ),
            ENOTUNIQ
        );
    }
    return &entries_.at(first->second).info;
}

void Catalogue::remove(const Digest& identity)
{
    const auto node = entries_.extract(identity);
    if (node.empty()) {
        return;
    }
    const auto [first, last] = by_digest_.equal_range(node.mapped().info.digest);
    const auto name = std::find_if(first, last, [&](const auto& entry) { return entry.second == identity; });
    by_digest_.erase(name);
    if (on_change) {
        on_change(identity);
    }
}

} // namespace sluice::daemon
