// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tools/mount_table.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

/// A layer's own mount below the layers directory, and whether anything stands on it.
struct LayerUse {
    std::string name; ///< of the directory below the layers directory
    DeviceNumber device;
    bool used = false;
    std::string used_by; ///< one of its users, for people: a mount point
};

/// Finds the EROFS mounts directly below `layers_dir` (absolute, without symbolic links) in
/// `tables`, of which the first is ours and the others are those of other namespaces. A layer is
/// used when another mount shows the same file system, or when an overlay names it as a lower
/// directory: overlayfs keeps a mount of its own there that no table shows. Copies of the layer's
/// mount in other namespaces that would vanish together with it (because their parent mounts get
/// our unmounts handed on) are not a use, or any service with PrivateTmp= would hold all layers for
/// ever. Pure.
[[nodiscard]] std::vector<LayerUse> find_layers(std::string_view layers_dir, const std::vector<MountTable>& tables);

/// The name of the layer that is mounted at `mount_point`, or empty when that is not directly below
/// `layers_dir`.
[[nodiscard]] std::string_view layer_name(std::string_view layers_dir, std::string_view mount_point) noexcept;

/// The last component of a path.
[[nodiscard]] std::string_view last_component(std::string_view path) noexcept;

} // namespace sluice::tools
