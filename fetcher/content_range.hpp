// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::fetcher {

struct ContentRange {
    ByteRange range;
    std::uint64_t total = 0;

    friend bool operator==(const ContentRange&, const ContentRange&) = default;
};

/// "bytes 0-4095/8192". Nothing for anything else: an unknown total ("*") and units other than
/// bytes included.
[[nodiscard]] std::optional<ContentRange> parse_content_range(std::string_view value) noexcept;

} // namespace sluice::fetcher
