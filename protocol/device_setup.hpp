// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "protocol/command.hpp"
#include "protocol/kernel_io.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace sluice::protocol {

struct DeviceConfig {
    std::filesystem::path cache_dir;
    std::string tag{
        kDefaultCacheTag}; ///< must never change while old mounts linger: new ones would join the dead cache
    CacheLimits limits;
    std::string secctx;                 ///< none when empty
    std::optional<std::uint32_t> debug; ///< the kernel module's debug mask
    UniqueFd adopted;                   ///< a device that is open and bound already, from a descriptor store
    bool restore = false;               ///< ask for everything again that a predecessor left unanswered
    /// How long a start waits for whoever keeps a dead device to let go of it, before it binds a new one.
    milliseconds patience{5000};
};

struct BoundDevice {
    UniqueFd fd;
    bool can_restore = false; ///< the kernel has the `restore` command
    bool inherited = false;   ///< it was taken up, and was bound before
};

/// Whether an errno speaks of this process's surroundings at this moment, and not of the device.
[[nodiscard]] bool is_passing(int code) noexcept;

/// Opens, configures and binds; or takes up `config.adopted`. On failure the device is closed again, and the text says
/// what is wrong and what to do about it.
[[nodiscard]] Result<BoundDevice> set_up_device(KernelIo& io, DeviceConfig& config);

} // namespace sluice::protocol
