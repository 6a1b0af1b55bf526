// SPDX-License-Identifier: Apache-2.0
// The table of directives. Each row is put together from small functions that are named after the
// kind of value and parametrised with the member they fill, so that a new directive is a member of
// Config and a row here.
#include "daemon/config/directives.hpp"

#include "base/tcp_listener.hpp"
#include "base/text.hpp"
#include "daemon/config/kinds.hpp"
#include "daemon/config/values.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <numeric>
#include <sys/un.h>
#include <utility>

namespace sluice::daemon {

namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr std::uint64_t kBlock = 4 * kKiB;

constexpr std::size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path);

// The kernel keeps a domain's blobs in one directory named "Ierofs,<domain>": 255 bytes.
constexpr std::size_t kMaxDomainId = 248;

// A blob's file is a mount option's value: 255 bytes, of which the names below this directory take 74.
constexpr std::size_t kMaxBlobsDir = 255 - 74 + 1;

bool set_mask(Config& config, std::string_view value)
{
    const auto mask = parse_mask(value);
    config.kernel_debug = mask.value_or(0);
    return mask.has_value();
}

Values get_mask(const Config& config)
{
    return {std::to_string(config.kernel_debug)};
}

bool set_threshold(std::optional<std::uint64_t>& threshold, std::string_view value)
{
    threshold = parse_size(value);
    return threshold || value == "-";
}

bool set_thresholds(Config& config, std::string_view value)
{
    const auto gap = std::min(value.find_first_of(" \t"), value.size());
    auto& thresholds = config.resume_thresholds;
    return set_threshold(thresholds.blocks, value.substr(0, gap)) &&
           set_threshold(thresholds.files, trim(value.substr(gap)));
}

Values get_thresholds(const Config& config)
{
    const auto text = [](const std::optional<std::uint64_t>& value) { return value ? std::to_string(*value) : "-"; };
    const auto& thresholds = config.resume_thresholds;
    return {fmt::format("{} {}", text(thresholds.blocks), text(thresholds.files))};
}

bool add_library_group(Config& config, std::string_view value)
{
    constexpr char kForbidden[] = "/:,";
    if (!is_plain_name(value, 32, kForbidden)) {
        return false;
    }
    config.library_groups.emplace_back(value);
    return true;
}

Values get_library_groups(const Config& config)
{
    return config.library_groups;
}

bool add_trusted_key(Config& config, std::string_view value)
{
    TrustedKeyFile key;
    while (!value.empty()) {
        const auto word = value.substr(0, value.find_first_of(" \t"));
        value = trim(value.substr(word.size()));
        if (key.file.empty()) {
            if (!is_plain_path(word, kMaxPath)) {
                return false;
            }
            key.file = std::filesystem::path{word};
        } else if (is_repository_prefix(word)) {
            key.repositories.emplace_back(word);
        } else {
            return false;
        }
    }
    config.trusted_keys.push_back(std::move(key));
    return true;
}

Values get_trusted_keys(const Config& config)
{
    Values values;
    for (const auto& [file, repositories] : config.trusted_keys) {
        values.push_back(
            fmt::format("{}{}{}", file.native(), repositories.empty() ? "" : " ", fmt::join(repositories, " "))
        );
    }
    return values;
}

bool set_metrics_address(Config& config, std::string_view value)
{
    config.metrics_address = value;
    return is_tcp_address(value);
}

Values get_metrics_address(const Config& config)
{
    return config.metrics_address.empty() ? Values{} : Values{config.metrics_address};
}

bool add_insecure(Config& config, std::string_view value)
{
    auto host = parse_host(value);
    if (!host) {
        return false;
    }
    config.registry_insecure.push_back(std::move(*host));
    return true;
}

Values get_insecure(const Config& config)
{
    return config.registry_insecure;
}

constexpr std::array<std::pair<std::string_view, log::Level>, 5> kLevels{{
    {"error", log::Level::kError},
    {"warning", log::Level::kWarning},
    {"notice", log::Level::kNotice},
    {"info", log::Level::kInfo},
    {"debug", log::Level::kDebug},
}};

bool set_level(Config& config, std::string_view value)
{
    const auto* found = std::ranges::find(kLevels, value, &std::pair<std::string_view, log::Level>::first);
    if (found == kLevels.end()) {
        return false;
    }
    config.log_level = found->second;
    return true;
}

Values get_level(const Config& config)
{
    const auto* found = std::ranges::find(kLevels, config.log_level, &std::pair<std::string_view, log::Level>::second);
    return {std::string{found->first}};
}

constexpr std::array<std::pair<std::string_view, FrontEndMode>, 4> kFrontEnds{{
    {"auto", FrontEndMode::kAuto},
    {"cachefiles", FrontEndMode::kCachefiles},
    {"fuse", FrontEndMode::kFuse},
    {"none", FrontEndMode::kNone},
}};

bool set_front_end(Config& config, std::string_view value)
{
    const auto* found = std::ranges::find(kFrontEnds, value, &std::pair<std::string_view, FrontEndMode>::first);
    if (found == kFrontEnds.end()) {
        return false;
    }
    config.front_end = found->second;
    return true;
}

Values get_front_end(const Config& config)
{
    const auto* found =
        std::ranges::find(kFrontEnds, config.front_end, &std::pair<std::string_view, FrontEndMode>::second);
    return {std::string{found->first}};
}

constexpr char kNothing[] = "";
constexpr char kNoSlash[] = "/";
constexpr char kDomainForbidden[] = "/,"; // a comma would end the mount option
constexpr char kGroupForbidden[] = "/:,";

constexpr std::string_view kPathAllowed = "an absolute path without \".\" and \"..\" in it";
constexpr std::string_view kPercentAllowed = "a whole number from 0 to 99 and a per cent sign, such as 7%";

// clang-format off
#define SLUICE_LIMIT(limits, member) \
    "N%", kPercentAllowed, false, set_percent<&Config::limits, &CullLimits::member>, \
    get_percent<&Config::limits, &CullLimits::member>

const Directive kDirectives[] = {
    {"dir", "PATH", kPathAllowed, false, set_path<&Config::dir, kMaxPath>, get_path<&Config::dir>},
    {"tag", "NAME", "one word of at most 255 characters without '/'", false,
     set_name<&Config::tag, 255, kNoSlash>, get_name<&Config::tag>},
    {"brun", SLUICE_LIMIT(blocks, run)},
    {"bcull", SLUICE_LIMIT(blocks, cull)},
    {"bstop", SLUICE_LIMIT(blocks, stop)},
    {"frun", SLUICE_LIMIT(files, run)},
    {"fcull", SLUICE_LIMIT(files, cull)},
    {"fstop", SLUICE_LIMIT(files, stop)},
    {"secctx", "LABEL", "one word, a security context", false,
     set_name<&Config::secctx, 1024, kNothing>, get_name<&Config::secctx>},
    {"culltable", "LOG2SIZE", "a whole number from 12 to 20", false,
     set_count<&Config::culltable, 12, 20>, get_count<&Config::culltable>},
    {"nocull", "", "", false, set_flag<&Config::nocull>, get_flag<&Config::nocull>},
    {"quota", "SIZE", "a multiple of 4K up to 1P, such as 50G, or 0", false,
     set_size<&Config::quota, 0, 1024 * 1024 * kGiB, kBlock>, get_size<&Config::quota>},
    {"resume_thresholds", "BLOCKS FILES", "two numbers, each of which may be \"-\" for none", false,
     set_thresholds, get_thresholds},
    {"debug", "MASK", "a number such as 7 or 0x7", false, set_mask, get_mask},

    {"trusted-key", "PATH [PREFIX...]",
     "an absolute path without blanks, and repositories such as registry.example/team or oci:/srv/images",
     true, add_trusted_key, get_trusted_keys},
    {"require-signed-name", "", "", false, set_flag<&Config::require_signed_name>, get_flag<&Config::require_signed_name>},
    {"registry-ca", "PATH", kPathAllowed, false,
     set_path<&Config::registry_ca, kMaxPath>, get_optional_path<&Config::registry_ca>},
    {"registry-insecure", "HOST[:PORT]", "a host name or address, such as registry.example or 192.0.2.1:5000",
     true, add_insecure, get_insecure},
    {"registry-private-networks", "", "", false,
     set_flag<&Config::registry_private_networks>, get_flag<&Config::registry_private_networks>},
    {"registry-credentials", "PATH", kPathAllowed, false,
     set_path<&Config::registry_credentials, kMaxPath>, get_optional_path<&Config::registry_credentials>},
    {"control-socket", "PATH", "an absolute path of at most 107 bytes without \".\" and \"..\" in it", false,
     set_path<&Config::control_socket, kMaxSocketPath>, get_path<&Config::control_socket>},
    {"control-group", "NAME", "the name of a group", false,
     set_name<&Config::control_group, 32, kGroupForbidden>, get_name<&Config::control_group>},
    {"metrics-address", "ADDRESS:PORT", "an address in numbers and a port, such as 127.0.0.1:9100 or [::1]:9100", false,
     set_metrics_address, get_metrics_address},
    {"library-socket", "PATH", "an absolute path of at most 107 bytes without \".\" and \"..\" in it", false,
     set_path<&Config::library_socket, kMaxSocketPath>, get_optional_path<&Config::library_socket>},
    {"library-group", "NAME", "the name of a group", true, add_library_group, get_library_groups},
    {"layers-dir", "PATH", kPathAllowed, false,
     set_path<&Config::layers_dir, kMaxPath>, get_path<&Config::layers_dir>},
    {"front-end", "NAME", "one of auto, cachefiles, fuse, none", false, set_front_end, get_front_end},
    {"blobs-dir", "PATH", "an absolute path of at most 181 bytes without \".\" and \"..\" in it", false,
     set_path<&Config::blobs_dir, kMaxBlobsDir>, get_path<&Config::blobs_dir>},
    {"domain-id", "NAME", "one word of at most 248 characters without '/' and ','", false,
     set_name<&Config::domain_id, kMaxDomainId, kDomainForbidden>, get_name<&Config::domain_id>},
    {"read-deadline", "DURATION", "a time from 100ms to 10m, such as 30s", false,
     set_duration<&Config::read_deadline, 100, 600'000>, get_duration<&Config::read_deadline>},
    {"connect-timeout", "DURATION", "a time from 100ms to 10m, such as 5s", false,
     set_duration<&Config::connect_timeout, 100, 600'000>, get_duration<&Config::connect_timeout>},
    {"stall-timeout", "DURATION", "a time from 100ms to 10m, such as 10s", false,
     set_duration<&Config::stall_timeout, 100, 600'000>, get_duration<&Config::stall_timeout>},
    {"read-ahead", "SIZE", "a multiple of 4K up to 1G, such as 16M, or 0", false,
     set_size<&Config::read_ahead, 0, kGiB, kBlock>, get_size<&Config::read_ahead>},
    {"random-window", "SIZE", "a multiple of 4K from 4K to 16M, such as 64K", false,
     set_size<&Config::random_window, kBlock, 16 * kMiB, kBlock>, get_size<&Config::random_window>},
    {"max-request", "SIZE", "a multiple of 4K from 128K to 64M, such as 4M", false,
     set_size<&Config::max_request, 128 * kKiB, 64 * kMiB, kBlock>, get_size<&Config::max_request>},
    {"memory-budget", "SIZE", "a multiple of 4K from 1M to 16G, such as 32M", false,
     set_size<&Config::memory_budget, kMiB, 16 * kGiB, kBlock>, get_size<&Config::memory_budget>},
    {"connections", "N", "a whole number from 1 to 64", false,
     set_count<&Config::connections, 1, 64>, get_count<&Config::connections>},
    {"workers", "N", "a whole number from 1 to 64", false,
     set_count<&Config::workers, 1, 64>, get_count<&Config::workers>},
    {"lazy-only", "", "", false, set_flag<&Config::lazy_only>, get_flag<&Config::lazy_only>},
    {"log-level", "LEVEL", "one of error, warning, notice, info, debug", false, set_level, get_level},
};

#undef SLUICE_LIMIT

// clang-format on

std::size_t edit_distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        auto diagonal = std::exchange(row[0], i + 1);
        for (std::size_t k = 0; k < b.size(); ++k) {
            const auto replaced = diagonal + (a[i] == b[k] ? 0U : 1U);
            diagonal = row[k + 1];
            row[k + 1] = std::min({replaced, row[k] + 1, row[k + 1] + 1});
        }
    }
    return row.back();
}

} // namespace

std::span<const Directive> directives() noexcept
{
    return kDirectives;
}

const Directive* find_directive(std::string_view name) noexcept
{
    const auto* found = std::ranges::find(kDirectives, name, &Directive::name);
    return found == std::end(kDirectives) ? nullptr : found;
}

std::string_view similar_directive(std::string_view name)
{
    constexpr std::size_t kMaxName = 64; // foreign input: the work is bounded by this
    std::string_view best;
    auto best_distance = std::min<std::size_t>(3, name.size() / 2 + 1);
    for (const auto& directive : kDirectives) {
        const auto distance = name.size() > kMaxName ? name.size() : edit_distance(name, directive.name);
        if (distance < best_distance) {
            best = directive.name;
            best_distance = distance;
        }
    }
    return best;
}

} // namespace sluice::daemon
