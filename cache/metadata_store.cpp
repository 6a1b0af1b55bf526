// SPDX-License-Identifier: Apache-2.0
#include "cache/metadata_store.hpp"

#include "cache/image_writer.hpp"
#include "cache/metadata_rows.hpp"

namespace sluice::cache {
namespace {

using rows::bind_key;
using rows::kBlobColumnCount;
using rows::kBlobColumns;
using rows::kImageColumns;
using rows::kIsBlob;
using rows::run;
using rows::seconds;
using rows::to_blob;
using rows::to_image;
using sqlite::Row;
using sqlite::Transaction;

} // namespace

Result<void> MetadataStore::put_image(const ImageRecord& image)
{
    auto transaction = Transaction::begin(database_);
    if (!transaction) {
        return fail(transaction.error());
    }
    if (auto done = ImageWriter{database_, image}.write(); !done) {
        return done;
    }
    if (auto done = drop_unused_blobs(); !done) {
        return done;
    }
    return transaction->commit();
}

Result<void> MetadataStore::drop_unused_blobs()
{
    const auto dropped =
        run(database_, "DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM image_layers l WHERE l.blob = blobs.id)");
    return dropped ? Result<void>{} : fail(dropped.error());
}

Result<void> MetadataStore::load_parts(ImageRecord& image) const
{
    auto loaded = load_layers(image);
    return loaded ? load_indexes(image) : loaded;
}

Result<void> MetadataStore::load_layers(ImageRecord& image) const
{
    auto statement = database_.prepare(
        "SELECT " + kBlobColumns +
        ", l.device, l.role FROM image_layers l JOIN blobs b ON b.id = l.blob "
        "WHERE l.reference = ? ORDER BY l.position, l.device"
    );
    if (!statement) {
        return fail(statement.error());
    }
    return statement->bind(image.reference).each([&](const Row& row) {
        if (row.integer(kBlobColumnCount) == 0) {
            const auto role = row.text(kBlobColumnCount + 1) == "data" ? LayerRole::kData : LayerRole::kLower;
            image.layers.push_back({role, to_blob(row), {}});
        } else if (!image.layers.empty()) {
            image.layers.back().devices.push_back(to_blob(row));
        }
    });
}

Result<void> MetadataStore::load_indexes(ImageRecord& image) const
{
    auto statement = database_.prepare("SELECT document FROM image_indexes WHERE reference = ? ORDER BY position");
    if (!statement) {
        return fail(statement.error());
    }
    return statement->bind(image.reference).each([&](const Row& row) {
        image.evidence.indexes.push_back(row.blob(0));
    });
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
        if (auto loaded = load_parts(*image); !loaded) {
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
        if (auto loaded = load_parts(image); !loaded) {
            return fail(loaded.error());
        }
    }
    return images;
}

Result<bool> MetadataStore::remove_image(std::string_view reference)
{
    auto transaction = Transaction::begin(database_);
    if (!transaction) {
        return fail(transaction.error());
    }
    const auto gone = run(database_, "DELETE FROM images WHERE reference = ?", reference);
    if (!gone) {
        return fail(gone.error());
    }
    if (auto done = drop_unused_blobs(); !done) {
        return fail(done.error());
    }
    if (auto done = transaction->commit(); !done) {
        return fail(done.error());
    }
    return *gone > 0;
}

Result<std::vector<BlobRecord>> MetadataStore::blobs() const
{
    auto statement =
        database_.prepare("SELECT " + kBlobColumns + " FROM blobs b ORDER BY b.last_access, b.digest, b.id");
    if (!statement) {
        return fail(statement.error());
    }
    std::vector<BlobRecord> found;
    if (auto done = statement->each([&](const Row& row) { found.push_back(to_blob(row)); }); !done) {
        return fail(done.error());
    }
    return found;
}

Result<void> MetadataStore::touch_blobs(std::span<const BlobTouch> touches)
{
    auto transaction = Transaction::begin(database_);
    if (!transaction) {
        return fail(transaction.error());
    }
    auto statement = database_.prepare("UPDATE blobs SET last_access = max(last_access, ?) WHERE " + kIsBlob);
    if (!statement) {
        return fail(statement.error());
    }
    for (const auto& touch : touches) {
        statement->bind(seconds(touch.at));
        bind_key(*statement, touch.blob);
        if (auto done = statement->run(); !done) {
            return fail(done.error());
        }
    }
    return transaction->commit();
}

} // namespace sluice::cache
