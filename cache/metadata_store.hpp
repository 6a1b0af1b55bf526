// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "cache/records.hpp"
#include "cache/sqlite.hpp"

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::cache {

/// The registry of images and blobs in one sqlite file. Synchronous, and not thread-safe: it
/// belongs to the store thread. Errors name the file and the statement.
class MetadataStore {
public:
    struct Opened;

    /// Opens or makes `file`, and brings an older schema up to date. A damaged file is moved aside,
    /// which costs the registrations and nothing else, as the cache's holes are the truth.
    /// kUnsupported when a newer sluiced wrote it: that file is left as it is.
    [[nodiscard]] static Result<Opened> open(const std::filesystem::path& file);

    /// Registers the image with its layers, blobs and the repository they lie in, in place of what
    /// `reference` was before. last_access and complete of blobs that are known already are kept.
    /// kCorrupt when one of its blobs is known with other sizes or another tree root: what is in
    /// the cache was proved against that one (see remove_blob()).
    [[nodiscard]] Result<void> put_image(const ImageRecord& image);

    [[nodiscard]] Result<std::optional<ImageRecord>> find_image(std::string_view reference) const;

    /// All, by reference.
    [[nodiscard]] Result<std::vector<ImageRecord>> find_images() const;

    /// Whether there was one. Its blobs stay, as their data does.
    [[nodiscard]] Result<bool> remove_image(std::string_view reference);

    [[nodiscard]] Result<std::optional<BlobRecord>> find_blob(const Digest& digest) const;

    /// All, the least recently used first.
    [[nodiscard]] Result<std::vector<BlobRecord>> blobs() const;

    /// Where the blob can be fetched from; the repository that was registered last comes first.
    [[nodiscard]] Result<std::vector<std::string>> repositories_of(const Digest& digest) const;

    /// The images that use the blob, by reference.
    [[nodiscard]] Result<std::vector<std::string>> images_using(const Digest& digest) const;

    /// One transaction for the batch; times never go back, unknown blobs are passed over.
    [[nodiscard]] Result<void> touch_blobs(std::span<const BlobTouch> touches);

    [[nodiscard]] Result<void> set_blob_complete(const Digest& digest, bool complete);

    /// Forgets a blob whose cache file is gone: whether there was one. kInvalid while an image uses
    /// it.
    [[nodiscard]] Result<bool> remove_blob(const Digest& digest);

private:
    explicit MetadataStore(sqlite::Database database) : database_{std::move(database)} {}

    [[nodiscard]] Result<void> load_layers(ImageRecord& image) const;

    sqlite::Database database_;
};

struct MetadataStore::Opened {
    MetadataStore store;
    std::optional<std::filesystem::path> moved_aside; ///< where the damaged file lies now, to be told to the operator
    std::string damage;                               ///< what was wrong with it
};

} // namespace sluice::cache
