// SPDX-License-Identifier: Apache-2.0
#include "cache/metadata_store.hpp"

#include "cache/image_writer.hpp"
#include "cache/metadata_rows.hpp"

#include <fmt/format.h>

namespace sluice::cache {
namespace {

using rows::bytes_of;
using rows::kBlobColumnCount;
using rows::kBlobColumns;
using rows::kImageColumns;
using rows::run;
using rows::seconds;
using rows::to_blob;
using rows::to_image;
using sqlite::Database;
using sqlite::Row;
using sqlite::Transaction;

Result<std::vector<std::string>> texts(const Database& database, std::string_view sql, const Digest& digest)
{
    auto statement = database.prepare(sql);
    if (!statement) {
        return fail(statement.error());
    }
    std::vector<std::string> found;
    auto done = statement->bind(bytes_of(digest)).each([&](const Row& row) { found.push_back(row.text(0)); });
    if (!done) {
        return fail(done.error());
    }
    return found;
}

} // namespace

Result<void> MetadataStore::put_image(const ImageRecord& image)
{
    auto transaction = Transaction::begin(database_);
    if (!transaction) {
        return fail(transaction.error());
    }
    if (auto done = ImageWriter{*this, database_, image}.write(); !done) {
        return done;
    }
    return transaction->commit();
}

Result<void> MetadataStore::load_layers(ImageRecord& image) const
{
    auto statement = database_.prepare(
        "SELECT " + kBlobColumns +
        ", l.position, l.device, l.role FROM image_layers l JOIN blobs b USING (digest) "
        "WHERE l.reference = ? ORDER BY l.position, l.device"
    );
    if (!statement) {
        return fail(statement.error());
    }
    bool orderly = true;
    auto done = statement->bind(image.reference).each([&](const Row& row) {
        if (row.integer(kBlobColumnCount + 1) == 0) {
            const auto role = row.text(kBlobColumnCount + 2) == "data" ? LayerRole::kData : LayerRole::kLower;
            image.layers.push_back({role, to_blob(row), {}});
        } else if (!image.layers.empty()) {
            image.layers.back().devices.push_back(to_blob(row));
        }
        orderly &= row.integer(kBlobColumnCount) + 1 == std::ssize(image.layers);
    });
    if (done && !orderly) {
        return fail(ErrorKind::kCorrupt, fmt::format("image {}: its registered layers have gaps", image.reference));
    }
    return done;
}

Result<std::optional<ImageRecord>> MetadataStore::find_image(std::string_view reference) const
{
    auto statement = database_.prepare("SELECT " + kImageColumns + " FROM images WHERE reference = ?");
    if (!statement) {
        return fail(statement.error());
    }
    std::optional<ImageRecord> image;
    auto done = statement->bind(reference).first([&](const Row& row) { image = to_image(row); });
    if (!done) {
        return fail(done.error());
    }
    if (image) {
        if (auto loaded = load_layers(*image); !loaded) {
            return fail(loaded.error());
        }
    }
    return image;
}

Result<std::vector<ImageRecord>> MetadataStore::find_images() const
{
    auto statement = database_.prepare("SELECT " + kImageColumns + " FROM images ORDER BY reference");
    if (!statement) {
        return fail(statement.error());
    }
    std::vector<ImageRecord> images;
    if (auto done = statement->each([&](const Row& row) { images.push_back(to_image(row)); }); !done) {
        return fail(done.error());
    }
    for (auto& image : images) {
        if (auto loaded = load_layers(image); !loaded) {
            return fail(loaded.error());
        }
    }
    return images;
}

Result<bool> MetadataStore::remove_image(std::string_view reference)
{
    const auto gone = run(database_, "DELETE FROM images WHERE reference = ?", reference);
    if (!gone) {
        return fail(gone.error());
    }
    return *gone > 0;
}

Result<std::optional<BlobRecord>> MetadataStore::find_blob(const Digest& digest) const
{
    auto statement = database_.prepare("SELECT " + kBlobColumns + " FROM blobs b WHERE b.digest = ?");
    if (!statement) {
        return fail(statement.error());
    }
    std::optional<BlobRecord> blob;
    auto done = statement->bind(bytes_of(digest)).first([&](const Row& row) { blob = to_blob(row); });
    if (!done) {
        return fail(done.error());
    }
    return blob;
}

Result<std::vector<BlobRecord>> MetadataStore::blobs() const
{
    auto statement = database_.prepare("SELECT " + kBlobColumns + " FROM blobs b ORDER BY b.last_access, b.digest");
    if (!statement) {
        return fail(statement.error());
    }
    std::vector<BlobRecord> found;
    if (auto done = statement->each([&](const Row& row) { found.push_back(to_blob(row)); }); !done) {
        return fail(done.error());
    }
    return found;
}

Result<std::vector<std::string>> MetadataStore::repositories_of(const Digest& digest) const
{
    return texts(
        database_, "SELECT repository FROM blob_repositories WHERE digest = ? ORDER BY registered DESC", digest
    );
}

Result<std::vector<std::string>> MetadataStore::images_using(const Digest& digest) const
{
    return texts(database_, "SELECT DISTINCT reference FROM image_layers WHERE digest = ? ORDER BY reference", digest);
}

Result<void> MetadataStore::touch_blobs(std::span<const BlobTouch> touches)
{
    auto transaction = Transaction::begin(database_);
    if (!transaction) {
        return fail(transaction.error());
    }
    auto statement = database_.prepare("UPDATE blobs SET last_access = max(last_access, ?) WHERE digest = ?");
    if (!statement) {
        return fail(statement.error());
    }
    for (const auto& touch : touches) {
        if (auto done = statement->bind(seconds(touch.at)).bind(bytes_of(touch.digest)).run(); !done) {
            return fail(done.error());
        }
    }
    return transaction->commit();
}

Result<void> MetadataStore::set_blob_complete(const Digest& digest, bool complete)
{
    auto done = run(database_, "UPDATE blobs SET complete = ? WHERE digest = ?", complete, bytes_of(digest));
    if (!done) {
        return fail(done.error());
    }
    return {};
}

Result<bool> MetadataStore::remove_blob(const Digest& digest)
{
    const auto users = images_using(digest);
    if (!users) {
        return fail(users.error());
    }
    if (!users->empty()) {
        return fail(
            ErrorKind::kInvalid, fmt::format("blob {} is a part of image {}", digest.to_string(), users->front())
        );
    }
    const auto gone = run(database_, "DELETE FROM blobs WHERE digest = ?", bytes_of(digest));
    if (!gone) {
        return fail(gone.error());
    }
    return *gone > 0;
}

} // namespace sluice::cache
