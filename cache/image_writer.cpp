// SPDX-License-Identifier: Apache-2.0
#include "cache/image_writer.hpp"

#include "cache/metadata_rows.hpp"
#include "cache/metadata_store.hpp"

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

bool same_content(const BlobRecord& a, const BlobRecord& b)
{
    return a.blob_size == b.blob_size && a.erofs_size == b.erofs_size && a.tree_root == b.tree_root &&
           a.tree_offset == b.tree_offset && a.compressed == b.compressed;
}

} // namespace

Result<void> ImageWriter::write() const
{
    if (auto done = write_image(); !done) {
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
        database_.prepare("INSERT INTO images (" + rows::kImageColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
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
    statement->bind(std::span<const std::byte>{image_.manifest});
    if (auto done = statement->run(); !done) {
        return fail(done.error());
    }
    return {};
}

Result<void>
ImageWriter::write_blob(const BlobRecord& blob, std::size_t position, std::size_t device, const char* role) const
{
    if (auto known = know_blob(blob); !known) {
        return known;
    }
    auto done =
        run(database_,
            "INSERT INTO image_layers (reference, position, device, role, digest) VALUES (?, ?, ?, ?, ?)",
            image_.reference,
            std::uint64_t{position},
            std::uint64_t{device},
            role,
            bytes_of(blob.digest));
    if (done) {
        done =
            run(database_,
                "INSERT OR REPLACE INTO blob_repositories (digest, repository, registered) "
                "VALUES (?, ?, (SELECT coalesce(max(registered), 0) + 1 FROM blob_repositories))",
                bytes_of(blob.digest),
                image_.repository);
    }
    if (!done) {
        return fail(done.error());
    }
    return {};
}

Result<void> ImageWriter::know_blob(const BlobRecord& blob) const
{
    if (std::max({blob.blob_size, blob.erofs_size, blob.tree_offset}) > kMaxSize) {
        return fail(ErrorKind::kInvalid, fmt::format("blob {}: its sizes do not fit a file", blob.digest.to_string()));
    }
    const auto known = store_.find_blob(blob.digest);
    if (!known) {
        return fail(known.error());
    }
    if (*known && !same_content(**known, blob)) {
        return fail(
            ErrorKind::kCorrupt,
            fmt::format(
                "{}: blob {} is known with another hash tree or size, which its cached data was proved against",
                image_.reference,
                blob.digest.to_string()
            )
        );
    }
    if (*known) {
        return {};
    }
    auto done =
        run(database_,
            "INSERT INTO blobs (digest, blob_size, erofs_size, tree_root, tree_offset, compressed, complete, "
            "last_access) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            bytes_of(blob.digest),
            blob.blob_size,
            blob.erofs_size,
            bytes_of(blob.tree_root),
            blob.tree_offset,
            blob.compressed,
            blob.complete,
            seconds(blob.last_access));
    if (!done) {
        return fail(done.error());
    }
    return {};
}

} // namespace sluice::cache
