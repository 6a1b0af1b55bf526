// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <optional>
#include <string>
#include <sys/types.h>

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

/// The file system that the file below the loop device at `path` is on, as stat(2) calls it; nothing when that is no
/// loop device with a file.
[[nodiscard]] std::optional<dev_t> loop_backing_device(const std::string& path);

/// The path of that file, as far as the kernel still knows it: of a file system that was detached the last component is
/// left. Asks nothing of the file system, which may be dead.
[[nodiscard]] std::optional<std::string> loop_backing_file(const std::string& path);

} // namespace sluice::tools
