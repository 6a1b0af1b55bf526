// SPDX-License-Identifier: Apache-2.0
#include "cache/image_writer.hpp"

#include "cache/metadata_rows.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <span>

namespace sluice::cache {
namespace {

using rows::bytes_of;
using rows::run;
using rows::seconds;

constexpr auto kMaxSize = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

} // namespace

Result<void> ImageWriter::write() const
{
    if (auto done = write_image(); !done) {
        return done;
    }
    if (auto done = write_indexes(); !done) {
        return done;
    }
    for (std::size_t position = 0; position < image_.layers.size(); ++position) {
        const auto& layer = image_.layers[position];
        const char* const role = layer.role == LayerRole::kData ? "data" : "lower";
        if (auto done = write_blob(layer.blob, position, 0, role); !done) {
            return done;
        }
        for (std::size_t device = 0; device < layer.devices.size(); ++device) {
            if (auto done = write_blob(layer.devices[device], position, device + 1, "device"); !done) {
                return done;
            }
        }
    }
    return {};
}

Result<void> ImageWriter::write_image() const
{
    if (auto gone = run(database_, "DELETE FROM images WHERE reference = ?", image_.reference); !gone) {
        return fail(gone.error());
    }
    auto statement =
        database_.prepare("INSERT INTO images (" + rows::kImageColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    if (!statement) {
        return fail(statement.error());
    }
    statement->bind(image_.reference).bind(image_.repository).bind(bytes_of(image_.manifest_digest));
    if (image_.index_digest) {
        statement->bind(bytes_of(*image_.index_digest));
    } else {
        statement->bind_null();
    }
    statement->bind(image_.signer_key).bind(image_.signer_name).bind(seconds(image_.verified_at));
    statement->bind(std::span<const std::byte>{image_.evidence.manifest});
    statement->bind(std::span<const std::byte>{image_.evidence.payload}).bind(image_.evidence.signature);
    if (auto done = statement->run(); !done) {
        return fail(done.error());
    }
    return {};
}

Result<void> ImageWriter::write_indexes() const
{
    const auto& indexes = image_.evidence.indexes;
    for (std::size_t i = 0; i < indexes.size(); ++i) {
        auto done =
            run(database_,
                "INSERT INTO image_indexes (reference, position, document) VALUES (?, ?, ?)",
                image_.reference,
                std::uint64_t{i},
                std::span<const std::byte>{indexes[i]});
        if (!done) {
            return fail(done.error());
        }
    }
    return {};
}

Result<void>
ImageWriter::write_blob(const BlobRecord& blob, std::size_t position, std::size_t device, const char* role) const
{
    const auto id = know_blob(blob);
    if (!id) {
        return fail(id.error());
    }
    auto done =
        run(database_,
            "INSERT INTO image_layers (reference, position, device, role, blob) VALUES (?, ?, ?, ?, ?)",
            image_.reference,
            std::uint64_t{position},
            std::uint64_t{device},
            role,
            *id);
    if (!done) {
        return fail(done.error());
    }
    return {};
}

Result<std::int64_t> ImageWriter::know_blob(const BlobRecord& blob) const
{
    if (std::max({blob.blob_size, blob.erofs_size, blob.tree_offset}) > kMaxSize) {
        return fail(ErrorKind::kInvalid, fmt::format("blob {}: its sizes do not fit a file", blob.digest.to_string()));
    }
    // One that is a device here may be a layer there: compressed is what any of them says.
    auto statement = database_.prepare(
        "INSERT INTO blobs (digest, tree_root, blob_size, erofs_size, tree_offset, compressed, last_access) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (digest, tree_root, blob_size, erofs_size, tree_offset) "
        "DO UPDATE SET compressed = max(compressed, excluded.compressed) RETURNING id"
    );
    if (!statement) {
        return fail(statement.error());
    }
    rows::bind_key(*statement, blob.key());
    statement->bind(blob.compressed).bind(seconds(blob.last_access));
    std::int64_t id = 0;
    auto done = statement->first([&](const sqlite::Row& row) { id = row.integer(0); });
    if (!done) {
        return fail(done.error());
    }
    return id;
}

} // namespace sluice::cache
