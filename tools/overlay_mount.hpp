// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::tools {

/// A read-only overlay of layers.
struct OverlayRequest {
    std::string layers_dir;
    std::vector<std::string> names; ///< below layers_dir, lowest first; at least two
    std::string source;             ///< for the mount table
    std::uint64_t attributes = 0;   ///< MOUNT_ATTR_*
};

/// How the lower directories are handed over.
enum class OverlayStyle : std::uint8_t {
    kAuto,      ///< kAppended where the kernel knows it
    kAppended,  ///< one by one with fsconfig(2): Linux 6.7 and later, any number
    kOneString, ///< in the one page of options of mount(2), by names relative to the layers
                ///< directory
};

/// The overlay as a mount that is nowhere in the tree yet; closing the descriptor undoes it.
[[nodiscard]] Result<UniqueFd> make_overlay(const OverlayRequest& request, OverlayStyle style = OverlayStyle::kAuto);

} // namespace sluice::tools
