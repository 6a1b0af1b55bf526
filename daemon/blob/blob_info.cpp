// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/blob_info.hpp"

#include "base/text.hpp"
#include "protocol/cookie_path.hpp"
#include "trust/hasher.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sluice::daemon {

Digest identity_of(const BlobInfo& blob)
{
    const auto text = fmt::format(
        "sluice blob 1\n{}\n{}\n{} {} {}\n",
        blob.digest.to_string(),
        blob.root.to_string(),
        blob.blob_size,
        blob.erofs_size,
        blob.tree_offset
    );
    return trust::sha256(as_byte_span(text));
}

std::string cookie_of(const BlobInfo& blob)
{
    return identity_of(blob).hex();
}

std::vector<std::string> join_repositories(std::vector<std::string> newer, const std::vector<std::string>& older)
{
    for (const auto& repository : older) {
        if (std::ranges::find(newer, repository) == newer.end()) {
            newer.push_back(repository);
        }
    }
    return newer;
}

std::string volume_of(std::string_view domain_id)
{
    return protocol::erofs_volume_key(domain_id);
}

} // namespace sluice::daemon
