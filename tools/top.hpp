// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"
#include "base/result.hpp"
#include "tools/control_api.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::tools {

/// What the daemon said at one moment.
struct TopSample {
    Json status;
    Json reads;
    Json images;
    Json blobs;
    double seconds = 0; ///< of a clock that only goes forward
};

[[nodiscard]] Result<TopSample> take_sample(ControlApi& daemon);

/// What happened between two samples, and how things stand at the second. Rates are 0 where the daemon was started
/// anew in between.
struct TopView {
    struct Image {
        std::string reference;
        std::uint64_t stored = 0; ///< bytes in the cache
        std::uint64_t size = 0;
        double reads_per_second = 0;
        std::uint64_t opened = 0; ///< openings of its blobs
        std::string last_error;   ///< empty: none
    };

    std::string version;
    std::string front_end;
    std::uint64_t uptime_seconds = 0;
    std::uint64_t takeovers = 0;
    double reads_per_second = 0;
    std::optional<double> found_in_cache; ///< share of the reads; nothing when there was none
    double failed_per_second = 0;
    std::uint64_t waiting = 0;
    std::uint64_t oldest_ms = 0; ///< how long the read waits that came first
    double fetched_per_second = 0;
    double retries_per_second = 0;
    std::optional<std::uint64_t> free_bytes;
    std::optional<std::uint64_t> total_bytes;
    bool low_space = false;
    std::optional<double> half_within_ms; ///< of the reads between the samples; beyond the last limit: infinite
    std::optional<double> most_within_ms; ///< 99 of 100
    std::vector<Image> images;            ///< the busiest first
};

[[nodiscard]] TopView make_view(const TopSample& before, const TopSample& now);

[[nodiscard]] Json to_json(const TopView& view);

/// At most `width` columns and `height` lines, each with its newline.
[[nodiscard]] std::string render(const TopView& view, std::size_t width, std::size_t height);

} // namespace sluice::tools
