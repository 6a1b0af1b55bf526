// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/options.hpp"

#include <filesystem>
#include <optional>

namespace sluice::daemon {

/// Goes into the background as old service scripts expect it: the command returns when the daemon serves, with 0, or
/// when it has failed, with its status and its message on the terminal. Does nothing where the mode says so.
/// Made before any thread or event loop.
class Detacher {
public:
    /// In the parent this does not return. Throws std::system_error when there can be no child.
    explicit Detacher(const RunMode& mode);
    Detacher(const Detacher&) = delete;
    Detacher& operator=(const Detacher&) = delete;
    ~Detacher(); ///< removes the pid file

    /// Writes the pid file, lets the parent go, and leaves the terminal; standard error too, unless messages go there.
    [[nodiscard]] Result<void> ready();

private:
    std::optional<std::filesystem::path> pid_file_; ///< absolute: the working directory changes
    bool wrote_pid_file_ = false;
    bool leave_terminal_ = false;
    bool leave_stderr_ = false;
    UniqueFd parent_; ///< the end of a pipe that the parent waits at
};

} // namespace sluice::daemon
