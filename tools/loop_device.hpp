// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <optional>
#include <string>

namespace sluice::tools {

/// A read-only loop device over a file. It goes by itself when nobody has it open any more: neither this object nor a
/// mounted file system.
class LoopDevice {
public:
    /// Needs root.
    [[nodiscard]] static Result<LoopDevice> attach(const std::string& file);

    /// "/dev/loop7"
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    LoopDevice(UniqueFd fd, std::string path) : fd_{std::move(fd)}, path_{std::move(path)} {}

    UniqueFd fd_;
    std::string path_;
};

/// The path of the file below the loop device at `path`, as far as the kernel still knows it: of a file system that was
/// detached the last component is left. Nothing when that is no loop device with a file. Asks nothing of the file
/// system, which may be dead, and so LOOP_GET_STATUS, which does, is not used.
[[nodiscard]] std::optional<std::string> loop_backing_file(const std::string& path);

} // namespace sluice::tools
