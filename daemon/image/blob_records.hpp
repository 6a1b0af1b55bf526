// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cache/records.hpp"
#include "daemon/blob/blob_info.hpp"

#include <string>
#include <vector>

namespace sluice::daemon {

/// What the database keeps of a blob, and back. Pure.
[[nodiscard]] cache::BlobRecord to_record(const BlobInfo& blob);
[[nodiscard]] BlobInfo to_info(const cache::BlobRecord& record, std::vector<std::string> repositories);

[[nodiscard]] Digest identity_of(const cache::BlobRecord& record);
[[nodiscard]] std::string cookie_of(const cache::BlobRecord& record);

/// All blobs of a layer: its own first, then its devices. Devices of a compressed image count as compressed.
[[nodiscard]] std::vector<BlobInfo> blobs_of(const cache::LayerRecord& layer, const std::string& repository);

} // namespace sluice::daemon
