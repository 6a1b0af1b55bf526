// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace sluice::daemon {

/// What a process has told its manager with sd_notify(3).
struct Notification {
    pid_t from = -1; ///< as the kernel says
    std::vector<std::string> lines;
    std::vector<UniqueFd> descriptors;

    [[nodiscard]] bool says(std::string_view line) const;
    /// What stands behind `key` and "=", empty when nothing does.
    [[nodiscard]] std::string value(std::string_view key) const;
};

/// The socket at which a manager is told. It lies in a directory of its own that only this user may enter, which is
/// removed at the end: nobody else can fill its queue.
class NotifySocket {
public:
    [[nodiscard]] static Result<NotifySocket> make();

    NotifySocket(NotifySocket&&) noexcept = default;
    NotifySocket& operator=(NotifySocket&&) = delete;
    NotifySocket(const NotifySocket&) = delete;
    NotifySocket& operator=(const NotifySocket&) = delete;
    ~NotifySocket();

    /// For NOTIFY_SOCKET in the environment of the process that tells.
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    /// The next message; nothing when there is none at the moment. What cannot be read whole is logged and left out.
    [[nodiscard]] std::optional<Notification> receive() const;

private:
    NotifySocket(std::filesystem::path path, UniqueFd fd) : path_{std::move(path)}, fd_{std::move(fd)} {}

    std::filesystem::path path_;
    UniqueFd fd_;
};

} // namespace sluice::daemon
