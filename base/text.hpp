// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Decimal digits only: no sign, no blanks, no overflow.
[[nodiscard]] std::optional<std::uint64_t> parse_u64(std::string_view text) noexcept;

/// "4096", "64K", "8M", "2G" (powers of 1024, an optional final "iB" or "B"); nothing for anything else or on overflow.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

/// "30", "30s", "500ms", "5m", "1h"; a bare number means seconds.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept;

/// Lower-case hex, two digits a byte.
[[nodiscard]] std::string encode_hex(std::span<const std::byte> bytes);

/// Strict: lower-case digits, exactly twice the size of `out`. False leaves `out` unspecified.
[[nodiscard]] bool decode_hex(std::string_view hex, std::span<std::byte> out) noexcept;

/// Strict RFC 4648 base64 with padding; nothing for stray characters, wrong padding or non-zero trailing bits.
[[nodiscard]] std::optional<std::vector<std::byte>> decode_base64(std::string_view text);
[[nodiscard]] std::string encode_base64(std::span<const std::byte> bytes);

/// Foreign text made fit for a log line or a terminal: control bytes and non-ASCII escaped, cut to `limit` characters.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 200);

/// "1.5 GiB", "812 KiB", "17 B"
[[nodiscard]] std::string format_size(std::uint64_t bytes);

[[nodiscard]] std::string_view trim(std::string_view text) noexcept;

/// Pieces between separators, empty ones included.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// A string's bytes, without a copy.
[[nodiscard]] inline std::span<const std::byte> as_byte_span(std::string_view text) noexcept
{
    return std::as_bytes(std::span{text.data(), text.size()});
}

[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) noexcept
{
    return {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

} // namespace sluice
