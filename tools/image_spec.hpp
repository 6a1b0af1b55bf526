// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"
#include "base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

/// How the kernel is told about one layer. Every name in it has been checked: see parse_image_spec.
struct LayerSpec {
    std::string digest;
    std::uint64_t erofs_size = 0;
    bool compressed = false;
    std::string fsid;
    std::string domain_id;            ///< empty: no shared domain
    std::string mount_name;           ///< of the directory below the layers directory
    std::string blobs_dir;            ///< where fsid and devices are files to mount from; empty: cachefiles has them
    std::string mount_source;         ///< what a mount shows that the daemon serves; empty where that is the file
    std::vector<std::string> devices; ///< cookies of further blobs, in the order of the layer's device table
};

/// An image that the daemon has resolved and proved, lowest layer first; no layer occurs twice.
struct ImageSpec {
    std::string reference;
    std::string manifest_digest;
    std::string signed_by;
    std::vector<LayerSpec> layers;
};

/// From the daemon's answer to `POST /v1/images`. Names that would make the kernel stumble (longer
/// than its buffers take, or with a slash; kernel-notes, edge 31) are errors here, before any mount
/// is tried.
[[nodiscard]] Result<ImageSpec> parse_image_spec(const Json& answer);

/// May this be a directory's name below the layers directory: letters, digits and "._-+", no
/// leading dot, at most 200?
[[nodiscard]] bool is_mount_name(std::string_view name) noexcept;

} // namespace sluice::tools
