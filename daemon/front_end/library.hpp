// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"
#include "base/result.hpp"
#include "cache/records.hpp"
#include "daemon/blob/catalogue.hpp"
#include "daemon/config/config.hpp"
#include "protocol/library_front_end.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace sluice::daemon {

/// What the configuration says, or blobs.sock beside the control socket.
[[nodiscard]] std::filesystem::path library_socket(const Config& config);

/// The cookie of the blob that is layer `layer` (from the bottom, from 0) of a registered image, or its device `device`
/// (from 1; 0 is the layer itself). Nothing is asked of any registry. Pure.
[[nodiscard]] Result<std::string> find_part(
    const std::map<std::string, cache::ImageRecord>& images,
    const std::string& reference,
    std::uint32_t layer,
    std::uint32_t device
);

/// The front end for libsluice. Fails for groups that do not exist. `catalogue`, `images` and `descriptors` outlive it.
[[nodiscard]] Result<std::unique_ptr<protocol::LibraryFrontEnd>> make_library_front_end(
    EventLoop& loop,
    WorkerPool& workers,
    const Config& config,
    const Catalogue& catalogue,
    const std::map<std::string, cache::ImageRecord>& images,
    FdStore& descriptors
);

/// For `sluicectl status`.
[[nodiscard]] Json describe_library(const Config& config);

} // namespace sluice::daemon
