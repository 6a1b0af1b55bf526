// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "cache/records.hpp"
#include "cache/sqlite.hpp"

#include <cstddef>
#include <cstdint>

namespace sluice::cache {

/// What MetadataStore::put_image() does inside of its transaction. Refers to its arguments: for one expression only.
class ImageWriter {
public:
    ImageWriter(const sqlite::Database& database, const ImageRecord& image) noexcept
        : database_{database}, image_{image}
    {}

    [[nodiscard]] Result<void> write() const;

private:
    [[nodiscard]] Result<void> write_image() const;
    [[nodiscard]] Result<void> write_indexes() const;
    [[nodiscard]] Result<void>
    write_blob(const BlobRecord& blob, std::size_t position, std::size_t device, const char* role) const;
    [[nodiscard]] Result<std::int64_t> know_blob(const BlobRecord& blob) const; ///< its id

    const sqlite::Database& database_;
    const ImageRecord& image_;
};

} // namespace sluice::cache
