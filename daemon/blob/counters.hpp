// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/blob/read_stats.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace sluice::daemon {

/// What the daemon has done since its start, for `sluicectl status`. Loop thread only.
struct Counters {
    std::uint64_t opens = 0;
    std::uint64_t opens_rejected = 0;
    std::uint64_t closes = 0;
    std::uint64_t reads = 0;
    std::uint64_t reads_already_there = 0; ///< nothing was missing when the request was looked at
    std::uint64_t reads_failed = 0;        ///< completed with an error
    std::uint64_t deadline_misses = 0;     ///< of reads_failed
    std::uint64_t fetches = 0;
    std::uint64_t fetch_failures = 0;
    std::uint64_t bytes_fetched = 0; ///< of blob data; hash trees and manifests not included
    std::uint64_t tree_bytes_fetched = 0;
    std::uint64_t bytes_written = 0;
    std::uint64_t verify_failures = 0; ///< blocks, and pieces of trees, that did not match
    std::uint64_t write_failures = 0;
    std::uint64_t blobs_culled = 0; ///< whose data was removed from the cache
    std::uint64_t bytes_culled = 0;
    std::map<std::string, ReadStats, std::less<>> reads_of; ///< by the front end that asked
};

} // namespace sluice::daemon
