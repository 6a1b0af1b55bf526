// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/fd_store.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <filesystem>
#include <optional>
#include <string_view>
#include <sys/types.h>

namespace sluice {

/// A Unix socket that one listens at.
struct UnixListener {
    std::string_view what; ///< "control socket": what errors call it
    std::filesystem::path path;
    int type; ///< SOCK_STREAM or SOCK_SEQPACKET
    mode_t mode = 0600;
    std::optional<gid_t> group; ///< whom the file belongs to, where that is said
};

/// A non-blocking listener. A socket file on which nobody answers is left over from a crash and is replaced; one on
/// which somebody answers is an error.
[[nodiscard]] Result<UniqueFd> listen_unix(const UnixListener& listener);

/// The listener that a predecessor left under `name`, with those who have connected since; or a new one, which is kept
/// under that name for a successor.
[[nodiscard]] Result<UniqueFd> listen_kept(FdStore& descriptors, std::string_view name, const UnixListener& listener);

} // namespace sluice
