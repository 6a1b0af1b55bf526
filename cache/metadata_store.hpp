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

    /// Registers the image with its evidence, layers and blobs, in place of what `reference` was before. The
    /// last_access of blobs that are known already is kept.
    [[nodiscard]] Result<void> put_image(const ImageRecord& image);

    [[nodiscard]] Result<std::optional<ImageRecord>> find_image(std::string_view reference) const;

    /// All, by reference. What somebody has changed in the file is not noticed here: see Evidence.
    [[nodiscard]] Result<std::vector<ImageRecord>> find_images() const;

    /// Whether there was one. Drops the blobs that no other image has; their data is not in here.
    [[nodiscard]] Result<bool> remove_image(std::string_view reference);

    /// All, the least recently used first.
    [[nodiscard]] Result<std::vector<BlobRecord>> blobs() const;

    /// One transaction for the batch; times never go back, unknown blobs are passed over.
    [[nodiscard]] Result<void> touch_blobs(std::span<const BlobTouch> touches);

private:
    explicit MetadataStore(sqlite::Database database) : database_{std::move(database)} {}

    [[nodiscard]] Result<void> drop_unused_blobs();
    [[nodiscard]] Result<void> load_parts(ImageRecord& image) const;
    [[nodiscard]] Result<void> load_layers(ImageRecord& image) const;
    [[nodiscard]] Result<void> load_indexes(ImageRecord& image) const;

    sqlite::Database database_;
};

struct MetadataStore::Opened {
    MetadataStore store;
    std::optional<std::filesystem::path> moved_aside; ///< where the damaged file lies now, to be told to the operator
    std::string damage;                               ///< what was wrong with it
};

} // namespace sluice::cache
