// SPDX-License-Identifier: Apache-2.0
//
// How records and the schema's rows turn into each other; shared by the store's sources and nobody else.
#pragma once

#include "cache/records.hpp"
#include "cache/sqlite.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::cache::rows {

/// What to_blob() and to_image() expect to be selected first, from `blobs b` and from `images`.
inline const std::string kBlobColumns =
    "b.digest, b.blob_size, b.erofs_size, b.tree_root, b.tree_offset, b.compressed, b.last_access";
inline constexpr int kBlobColumnCount = 7;
inline const std::string kImageColumns =
    "reference, repository, manifest_digest, index_digest, signer_key, signer_name, verified_at, manifest, "
    "signature_payload, signature";

/// Which blob: takes what bind_key() binds.
inline const std::string kIsBlob =
    "digest = ? AND tree_root = ? AND blob_size = ? AND erofs_size = ? AND tree_offset = ?";

[[nodiscard]] BlobRecord to_blob(const sqlite::Row& row);
[[nodiscard]] ImageRecord to_image(const sqlite::Row& row); ///< without its layers and indexes

/// Binds five values, for kIsBlob.
void bind_key(sqlite::Statement& statement, const BlobKey& key);

[[nodiscard]] inline std::span<const std::byte> bytes_of(const Digest& digest)
{
    return digest.bytes();
}

[[nodiscard]] inline std::int64_t seconds(WallTime time)
{
    return time.time_since_epoch().count();
}

/// Binds the values in order and runs; how many rows changed.
template <typename... Values>
[[nodiscard]] Result<std::int64_t> run(const sqlite::Database& database, std::string_view sql, const Values&... values)
{
    auto statement = database.prepare(sql);
    if (!statement) {
        return fail(statement.error());
    }
    (statement->bind(values), ...);
    return statement->run();
}

} // namespace sluice::cache::rows
