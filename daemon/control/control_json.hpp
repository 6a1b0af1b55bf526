// SPDX-License-Identifier: Apache-2.0
// The control API's documents; docs/control-api.md is their contract. They ask no file system.
#pragma once

#include "base/json.hpp"
#include "cache/records.hpp"
#include "daemon/blob/blob_info.hpp"
#include "daemon/blob/read_stats.hpp"
#include "daemon/config/config.hpp"
#include "daemon/front_end/front_ends.hpp"
#include "protocol/space.hpp"
#include "trust/key_ring.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

namespace sluice::daemon {

[[nodiscard]] Json to_json(const Error& error);

[[nodiscard]] Json to_json(const MountFrontEnd& front_end);

/// An image with all that is needed to mount it.
[[nodiscard]] Json to_json(const cache::ImageRecord& image, const Config& config, const MountFrontEnd& front_end);

/// Directory, limits, the size of the file system (`figures`, where it has told), and what to do when free space
/// `is_low`.
[[nodiscard]] Json
describe_cache(const Config& config, const std::optional<protocol::Space::Figures>& figures, bool is_low);

/// The kernel that runs, and whether requests survive a restart of the daemon with it.
[[nodiscard]] Json describe_kernel(const MountFrontEnd& front_end);

[[nodiscard]] Json to_json(const trust::KeyRing& keys);

struct BlobStatus {
    BlobInfo blob;
    std::optional<std::uint64_t> present;               ///< bytes; nothing when nobody has looked
    std::map<std::string, unsigned, std::less<>> users; ///< openings by front end
    std::uint64_t reads = 0;                            ///< since somebody began to use it
    std::optional<Error> last_error;
};

[[nodiscard]] Json to_json(const BlobStatus& status);

/// How reads ended and how long they took, by front end.
[[nodiscard]] Json to_json(const std::map<std::string, ReadStats, std::less<>>& reads_of);

} // namespace sluice::daemon
