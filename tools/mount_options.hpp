// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::tools {

/// What `-o` can say about a mount.
struct MountOptions {
    std::uint64_t attributes =
        0;                     ///< MOUNT_ATTR_*, MOUNT_ATTR_RDONLY always among them, NOSUID and NODEV unless opted out
    bool lazy_only = false;    ///< refuse what would have to be downloaded whole before it can be mounted
    bool refresh = false;      ///< ask the registry again although the image is known
    bool loop_devices = false; ///< not on files, even if the kernel could
    std::string socket;        ///< the daemon's; empty: the default
    std::string layers_dir;    ///< empty: the daemon's
};

/// Who wrote the options.
enum class OptionOrigin : std::uint8_t {
    kOperator,    ///< what cannot be had is an error, rw too
    kMount,       ///< mount(8), which puts rw in front of everything that does not say ro: it means nothing
    kSloppyMount, ///< mount -s: and what is not known is skipped
};

/// Parses mount(8)'s comma-separated options. Later ones win. What only mount(8) and systemd look at (_netdev, x-*,
/// noauto, user, …) is accepted; whatever is unknown is an error that names it. Pure.
[[nodiscard]] Result<MountOptions>
parse_mount_options(std::string_view text, OptionOrigin origin = OptionOrigin::kOperator);

/// The same attributes for mount(2): MS_*.
[[nodiscard]] unsigned long mount_flags(std::uint64_t attributes) noexcept;

} // namespace sluice::tools
