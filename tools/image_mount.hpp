// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "tools/image_spec.hpp"
#include "tools/layer_mounter.hpp"
#include "tools/layer_mounts.hpp"
#include "tools/overlay_mount.hpp"

#include <cstdint>
#include <string>

namespace sluice::tools {

/// Mounts the image's layers where they are not yet, and the image at `dir`: the layer itself, or a
/// read-only overlay of several. A failure leaves nothing behind. Needs root; may block for as long
/// as the layers' file systems do.
[[nodiscard]] Result<void> mount_image(
    const LayerMounts& layers,
    const ImageSpec& image,
    const std::string& dir,
    std::uint64_t attributes,
    LayerMounter& mounter,
    OverlayStyle style = OverlayStyle::kAuto
);

/// Is what is mounted on top at `dir` exactly this image? For `mount -a`, which asks again for what
/// is there.
[[nodiscard]] Result<bool>
is_image_mounted(const std::string& layers_dir, const ImageSpec& image, const std::string& dir);

/// Unmounts `dir`, which must be an image's mount (kInvalid otherwise), and releases the layers
/// that are unused then.
[[nodiscard]] Result<ReleaseReport> unmount_image(const LayerMounts& layers, const std::string& dir);

} // namespace sluice::tools
