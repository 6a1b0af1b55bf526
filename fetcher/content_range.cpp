// SPDX-License-Identifier: Apache-2.0
#include "fetcher/content_range.hpp"

#include "base/text.hpp"

#include <limits>

namespace sluice::fetcher {

std::optional<ContentRange> parse_content_range(std::string_view value) noexcept
{
    constexpr std::string_view kUnit = "bytes";
    value = trim(value);
    if (!equals_ignoring_case(value.substr(0, kUnit.size()), kUnit) || value.size() <= kUnit.size() ||
        value[kUnit.size()] != ' ') {
        return std::nullopt;
    }
    value = trim(value.substr(kUnit.size()));
    const auto dash = value.find('-');
    const auto slash = value.find('/');
    if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
        return std::nullopt;
    }
    const auto first = parse_u64(value.substr(0, dash));
    const auto last = parse_u64(value.substr(dash + 1, slash - dash - 1));
    const auto total = parse_u64(value.substr(slash + 1));
    if (!first || !last || !total || *first > *last || *last >= *total) {
        return std::nullopt;
    }
    return ContentRange{ByteRange{*first, *last + 1}, *total};
}

} // namespace sluice::fetcher
