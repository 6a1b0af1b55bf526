// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

/// Who waits for a piece of work. Workers and transfers take what is more urgent first.
enum class Urgency : std::uint8_t {
    kDemand,     ///< a reader does
    kReadahead,  ///< nobody yet, but a reader is expected soon
    kBackground, ///< nobody: sweeps, copies that are kept for later, completing a blob
};

inline constexpr std::size_t kUrgencies = 3;

} // namespace sluice
