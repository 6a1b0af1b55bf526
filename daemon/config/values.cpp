// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/values.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

namespace sluice::daemon {

namespace {

bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

bool is_host_name(std::string_view host) noexcept
{
    const auto fits = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '.'; };
    return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, fits) && host.front() != '-' &&
           host.front() != '.' && host.find("..") == std::string_view::npos;
}

bool is_bracketed_address(std::string_view host) noexcept
{
    const auto fits = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.'; };
    return host.size() > 4 && host.size() <= 47 && host.front() == '[' && host.back() == ']' &&
           std::ranges::all_of(host.substr(1, host.size() - 2), fits);
}

bool is_port(std::string_view port) noexcept
{
    const auto number = parse_u64(port);
    return number && *number >= 1 && *number <= 65535;
}

} // namespace

std::string exact_size(std::uint64_t bytes)
{
    constexpr std::array<std::string_view, 5> kUnits{"", "K", "M", "G", "T"};
    std::size_t unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
        bytes /= 1024;
        ++unit;
    }
    return fmt::format("{}{}", bytes, kUnits[unit]);
}

std::string exact_duration(std::chrono::milliseconds duration)
{
    const auto count = duration.count();
    return count % 1000 == 0 ? fmt::format("{}s", count / 1000) : fmt::format("{}ms", count);
}

std::optional<unsigned> parse_percent(std::string_view text) noexcept
{
    if (!text.ends_with('%')) {
        return std::nullopt;
    }
    text.remove_suffix(1);
    const auto number = parse_u64(text);
    if (!number || *number >= 100) {
        return std::nullopt;
    }
    return static_cast<unsigned>(*number);
}

std::optional<std::uint32_t> parse_mask(std::string_view text) noexcept
{
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        base = 16;
        text.remove_prefix(2);
    } else if (text.size() > 1 && text.front() == '0') {
        base = 8;
        text.remove_prefix(1);
    }
    std::uint32_t mask = 0;
    const auto* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, mask, base);
    if (text.empty() || error != std::errc{} || at != end) {
        return std::nullopt;
    }
    return mask;
}

std::optional<std::string> parse_host(std::string_view text)
{
    std::string lower{text};
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    std::string_view host = lower;
    const auto colon = host.rfind(':');
    const auto bracket = host.rfind(']');
    if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
        if (!is_port(host.substr(colon + 1))) {
            return std::nullopt;
        }
        host = host.substr(0, colon);
    }
    if (!is_host_name(host) && !is_bracketed_address(host)) {
        return std::nullopt;
    }
    return lower;
}

bool is_repository_prefix(std::string_view text)
{
    constexpr std::string_view kLayout = "oci:";
    constexpr std::size_t kLongest = 4096;
    if (text.starts_with(kLayout)) {
        return is_plain_path(text.substr(kLayout.size()), kLongest) && !text.ends_with('/');
    }
    const auto slash = text.find('/');
    const auto registry = text.substr(0, slash);
    const auto host = parse_host(registry);
    // As in references: what has no dot and no port is no registry.
    if (!host || *host != registry ||
        (registry.find_first_of(".:") == std::string_view::npos && registry != "localhost")) {
        return false;
    }
    if (slash == std::string_view::npos) {
        return true;
    }
    const auto parts = split(text.substr(slash + 1), '/');
    return std::ranges::all_of(parts, [](std::string_view part) {
        return !part.empty() && part != "." && part != ".." && std::ranges::all_of(part, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        });
    });
}

bool is_plain_name(std::string_view text, std::size_t limit, std::string_view forbidden) noexcept
{
    const auto fits = [forbidden](char c) {
        return c > ' ' && c < '\x7f' && forbidden.find(c) == std::string_view::npos;
    };
    return !text.empty() && text.size() <= limit && std::ranges::all_of(text, fits);
}

bool is_plain_path(std::string_view text, std::size_t limit) noexcept
{
    if (!text.starts_with('/') || text.size() >= limit) {
        return false;
    }
    std::size_t at = 0;
    while (at < text.size()) {
        const auto end = std::min(text.find('/', at), text.size());
        const auto part = text.substr(at, end - at);
        if (part == "." || part == "..") {
            return false;
        }
        at = end + 1;
    }
    return true;
}

} // namespace sluice::daemon
