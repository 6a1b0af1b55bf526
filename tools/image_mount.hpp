// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "tools/image_spec.hpp"
#include "tools/layer_mounter.hpp"
#include "tools/layer_mounts.hpp"
#include "tools/mount_place.hpp"
#include "tools/overlay_mount.hpp"

#include <cstdint>
#include <string>

namespace sluice::tools {

/// Mounts the image's layers where they are not yet, in our own mount namespace, and the image at `place`: the layer
/// itself, or a read-only overlay of several. A failure leaves nothing behind. Needs root; may block for as long
/// as the layers' file systems do.
[[nodiscard]] Result<void> mount_image(
    const LayerMounts& layers,
    const ImageSpec& image,
    const MountPlace& place,
    std::uint64_t attributes,
    LayerMounter& mounter,
    OverlayStyle style = OverlayStyle::kAuto
);

/// Whether a directory has an image.
enum class Presence : std::uint8_t {
    kAbsent, ///< nothing is mounted on top there, or no image of ours
    kOther,  ///< another image
    kThere,
    kDead ///< its mount is there, but the daemon's file system that it stands on is not served any more
};

/// Is what is mounted on top at `place` exactly this image? For `mount -a`, which asks again for what is there.
[[nodiscard]] Result<Presence>
find_image(const std::string& layers_dir, const ImageSpec& image, const MountPlace& place, const LayerMounter& mounter);

/// Takes what is mounted on top at `place` out of the way; who uses it keeps it.
[[nodiscard]] Result<void> detach_dead(const MountPlace& place);

/// Unmounts `place`, which must be an image's mount (kInvalid otherwise), and releases the layers
/// that are unused then.
[[nodiscard]] Result<ReleaseReport> unmount_image(const LayerMounts& layers, const MountPlace& place);

} // namespace sluice::tools
