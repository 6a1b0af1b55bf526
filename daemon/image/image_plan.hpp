// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "daemon/blob/blob_info.hpp"
#include "fetcher/image_source.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::daemon {

/// One EROFS mount: the blob with the metadata and the blobs it refers to, in the order of its device table.
struct PlannedLayer {
    BlobInfo blob;
    std::vector<BlobInfo> devices;
};

/// What a signed manifest says there is to mount, lowest layer first. Pure; `resolved` must have a verified signature.
/// Fails, naming the layer, on media types, roles and integrity data that cannot be served.
[[nodiscard]] Result<std::vector<PlannedLayer>> plan_image(const fetcher::ResolvedManifest& resolved);

} // namespace sluice::daemon
