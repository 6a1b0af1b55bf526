// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::daemon {

/// The exact text of a size: the largest unit that divides it ("64K", "100"). parse_size() reads it
/// back.
[[nodiscard]] std::string exact_size(std::uint64_t bytes);

/// The exact text of a duration ("30s", "1500ms"). parse_duration() reads it back.
[[nodiscard]] std::string exact_duration(std::chrono::milliseconds duration);

/// "7%" as 7; digits, one per cent sign, below 100.
[[nodiscard]] std::optional<unsigned> parse_percent(std::string_view text) noexcept;

/// strtoul(3) with base 0, as the kernel reads masks: "5", "0x5", "05"; 32 bits.
[[nodiscard]] std::optional<std::uint32_t> parse_mask(std::string_view text) noexcept;

/// "host", "host:port", "192.0.2.1:5000", "[2001:db8::1]:5000" in lower case, or nothing.
[[nodiscard]] std::optional<std::string> parse_host(std::string_view text);

/// "registry.example:5000/team", the registry alone, or "oci:/srv/images", as repositories are called in full: names
/// without a registry are none, and nothing ends with a slash.
[[nodiscard]] bool is_repository_prefix(std::string_view text);

/// One word of printable ASCII without any of the characters of `forbidden`, at most `limit` long.
[[nodiscard]] bool is_plain_name(std::string_view text, std::size_t limit, std::string_view forbidden) noexcept;

/// Absolute, shorter than `limit`, without "." and ".." as parts: a path that reads the same from
/// everywhere.
[[nodiscard]] bool is_plain_path(std::string_view text, std::size_t limit) noexcept;

} // namespace sluice::daemon
