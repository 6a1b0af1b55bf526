// SPDX-License-Identifier: Apache-2.0
// The control API's documents; docs/control-api.md is their contract. Pure but for looking at the file system's size.
#pragma once

#include "base/json.hpp"
#include "cache/records.hpp"
#include "daemon/blob/blob_info.hpp"
#include "daemon/config/config.hpp"
#include "daemon/front_end/front_ends.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

namespace sluice::daemon {

[[nodiscard]] Json to_json(const Error& error);

[[nodiscard]] Json to_json(const MountFrontEnd& front_end);

/// An image with all that is needed to mount it.
[[nodiscard]] Json to_json(const cache::ImageRecord& image, const Config& config, const MountFrontEnd& front_end);

/// Directory, limits, and the size of the file system.
[[nodiscard]] Json describe_cache(const Config& config);

struct BlobStatus {
    BlobInfo blob;
    std::optional<std::uint64_t> present;               ///< bytes; nothing when nobody has looked
    std::map<std::string, unsigned, std::less<>> users; ///< openings by front end
    std::optional<Error> last_error;
};

[[nodiscard]] Json to_json(const BlobStatus& status);

} // namespace sluice::daemon
