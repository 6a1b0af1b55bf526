// SPDX-License-Identifier: Apache-2.0
#include "cache/metadata_rows.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

namespace sluice::cache::rows {
namespace {

Digest to_digest(const std::vector<std::byte>& bytes)
{
    Digest::Bytes value{}; // the schema's CHECK has made sure of the length
    std::copy_n(bytes.begin(), std::min(bytes.size(), value.size()), value.begin());
    return Digest{value};
}

WallTime to_time(std::int64_t seconds_since_1970)
{
    return WallTime{std::chrono::seconds{seconds_since_1970}};
}

} // namespace

BlobRecord to_blob(const sqlite::Row& row)
{
    return {
        .digest = to_digest(row.blob(0)),
        .blob_size = static_cast<std::uint64_t>(row.integer(1)),
        .erofs_size = static_cast<std::uint64_t>(row.integer(2)),
        .tree_root = to_digest(row.blob(3)),
        .tree_offset = static_cast<std::uint64_t>(row.integer(4)),
        .compressed = row.integer(5) != 0,
        .last_access = to_time(row.integer(6)),
    };
}

ImageRecord to_image(const sqlite::Row& row)
{
    return {
        .reference = row.text(0),
        .repository = row.text(1),
        .manifest_digest = to_digest(row.blob(2)),
        .index_digest = row.is_null(3) ? std::nullopt : std::optional{to_digest(row.blob(3))},
        .signer_key = row.text(4),
        .signer_name = row.text(5),
        .verified_at = to_time(row.integer(6)),
        .layers = {},
        .evidence = {.manifest = row.blob(7), .indexes = {}, .payload = row.blob(8), .signature = row.text(9)},
    };
}

void bind_key(sqlite::Statement& statement, const BlobKey& key)
{
    statement.bind(bytes_of(key.digest)).bind(bytes_of(key.tree_root));
    statement.bind(key.blob_size).bind(key.erofs_size).bind(key.tree_offset);
}

} // namespace sluice::cache::rows
