// SPDX-License-Identifier: Apache-2.0
// Reading and printing of the kinds of values that directives take, parametrised with the member of Config that holds
// the value. For config_directives.cpp only.
#pragma once

#include "base/text.hpp"
#include "daemon/config/config.hpp"
#include "daemon/config/values.hpp"

#include <climits>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::daemon {

using Values = std::vector<std::string>;

// The kernel appends "/cache" and "/graveyard" to the cache's directory, and takes commands below one page.
inline constexpr std::size_t kMaxPath = PATH_MAX - 10;

template <auto Member, std::size_t Limit>
bool set_path(Config& config, std::string_view value)
{
    if (!is_plain_path(value, Limit)) {
        return false;
    }
    config.*Member = std::filesystem::path{value};
    return true;
}

template <auto Member>
Values get_path(const Config& config)
{
    return {(config.*Member).native()};
}

template <auto Member>
Values get_optional_path(const Config& config)
{
    return config.*Member ? Values{(config.*Member)->native()} : Values{};
}

/// `Forbidden` is a NUL-terminated array with linkage, as template arguments have to be.
template <auto Member, std::size_t Limit, const char* Forbidden>
bool set_name(Config& config, std::string_view value)
{
    if (!is_plain_name(value, Limit, Forbidden)) {
        return false;
    }
    config.*Member = value;
    return true;
}

template <auto Member>
Values get_name(const Config& config)
{
    return (config.*Member).empty() ? Values{} : Values{config.*Member};
}

template <auto Limits, auto Member>
bool set_percent(Config& config, std::string_view value)
{
    const auto percent = parse_percent(value);
    config.*Limits.*Member = percent.value_or(0);
    return percent.has_value();
}

template <auto Limits, auto Member>
Values get_percent(const Config& config)
{
    return {fmt::format("{}%", config.*Limits.*Member)};
}

template <auto Member, unsigned Min, unsigned Max>
bool set_count(Config& config, std::string_view value)
{
    const auto number = parse_u64(value);
    if (!number || *number < Min || *number > Max) {
        return false;
    }
    config.*Member = static_cast<unsigned>(*number);
    return true;
}

template <auto Member>
Values get_count(const Config& config)
{
    return {std::to_string(config.*Member)};
}

template <auto Member, std::uint64_t Min, std::uint64_t Max, std::uint64_t Unit>
bool set_size(Config& config, std::string_view value)
{
    const auto size = parse_size(value);
    if (!size || *size < Min || *size > Max || *size % Unit != 0) {
        return false;
    }
    config.*Member = *size;
    return true;
}

template <auto Member>
Values get_size(const Config& config)
{
    return {exact_size(config.*Member)};
}

template <auto Member, std::int64_t MinMs, std::int64_t MaxMs>
bool set_duration(Config& config, std::string_view value)
{
    const auto duration = parse_duration(value);
    if (!duration || duration->count() < MinMs || duration->count() > MaxMs) {
        return false;
    }
    config.*Member = *duration;
    return true;
}

template <auto Member>
Values get_duration(const Config& config)
{
    return {exact_duration(config.*Member)};
}

template <auto Member>
bool set_flag(Config& config, std::string_view)
{
    config.*Member = true;
    return true;
}

template <auto Member>
Values get_flag(const Config& config)
{
    return config.*Member ? Values{""} : Values{};
}

} // namespace sluice::daemon
