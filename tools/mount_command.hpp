// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "tools/control_api.hpp"
#include "tools/image_mount.hpp"
#include "tools/mount_options.hpp"

#include <string>

namespace sluice::tools {

inline constexpr std::string_view kDefaultLayersDir = "/run/sluice/layers";

struct MountRequest {
    std::string reference;
    MountPlace place;
    MountOptions options;
    bool refuse_other = false; ///< when another image is mounted there; else this one comes on top of it
    bool fake = false;         ///< everything but the mount
    std::string say_waiting{}; ///< the program that tells on stderr, after two seconds, what it waits for; empty: none
};

struct MountOutcome {
    ImageSpec image;
    std::string layers_dir;
    bool was_mounted = false; ///< at the same place already: nothing was done
};

/// What `sluicectl mount` and mount.sluice do: has the daemon resolve the image, with progress on stderr if that is a
/// terminal and takes long; mounts it; and says why it failed in the daemon's words, because the kernel only has EIO
/// and ENOBUFS. What a dead daemon has left of the image at the place is detached first.
[[nodiscard]] Result<MountOutcome> run_mount(ControlApi& daemon, LayerMounter& mounter, const MountRequest& request);

/// The layers directory: `given`, else the daemon's if it can be asked, else the default. An unmount must not need the
/// daemon.
[[nodiscard]] std::string find_layers_dir(ControlApi& daemon, const std::string& given);

/// Moves this process into another mount namespace (a path such as /proc/1/ns/mnt). Before any other thread exists.
[[nodiscard]] Result<void> enter_mount_namespace(const std::string& path);

} // namespace sluice::tools
