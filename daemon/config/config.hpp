// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/cache_limits.hpp"
#include "base/log.hpp"
#include "base/result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::daemon {

/// cachefilesd's: how much must be let go before a suspended scan for victims resumes; nothing:
/// never for this reason.
struct ResumeThresholds {
    std::optional<std::uint64_t> blocks;
    std::optional<std::uint64_t> files;

    friend bool operator==(const ResumeThresholds&, const ResumeThresholds&) = default;
};

/// The number of processors the process may run on, kept between 2 and 4.
[[nodiscard]] unsigned default_workers() noexcept;

/// How the kernel gets at blobs.
enum class FrontEndMode : std::uint8_t {
    kAuto, ///< cachefiles where the kernel has it and it works, else FUSE
    kCachefiles,
    kFuse,
    kNone ///< nothing can be mounted; libsluice alone is served
};

/// A public key, and the repositories that it may sign for: prefixes of whole path components; none: all.
struct TrustedKeyFile {
    std::filesystem::path file;
    std::vector<std::string> repositories;

    friend bool operator==(const TrustedKeyFile&, const TrustedKeyFile&) = default;
};

/// What sluiced.conf says, checked as a whole: every value is in its range and fits the others.
/// Sizes are in bytes. Each member belongs to one row of the table in config_directives.hpp;
/// sluiced.conf(5) explains them.
struct Config {
    std::filesystem::path dir = "/var/cache/sluice";
    std::string tag{kDefaultCacheTag};
    CullLimits blocks;
    CullLimits files;
    std::string secctx; ///< empty: the daemon's own
    std::uint32_t kernel_debug = 0;
    unsigned culltable = 12; ///< accepted for cachefilesd's sake; our cull list needs no size
    bool nocull = false;
    std::uint64_t quota = 0; ///< what the whole cache may take of the disk; 0: as much as there is
    ResumeThresholds resume_thresholds;

    std::vector<TrustedKeyFile> trusted_keys;
    bool require_signed_name = false; ///< signatures count for the repository that they name only
    std::optional<std::filesystem::path> registry_ca;
    bool registry_private_networks = false;     ///< follow registries into networks that they are not in themselves
    std::vector<std::string> registry_insecure; ///< "host[:port]" as in references; lower case
    std::optional<std::filesystem::path> registry_credentials;

    std::filesystem::path control_socket = "/run/sluice/control.sock";
    std::string control_group;                           ///< empty: root only
    std::string metrics_address;                         ///< where Prometheus may ask, too; empty: nowhere
    std::optional<std::filesystem::path> library_socket; ///< nothing: blobs.sock beside the control socket
    std::vector<std::string> library_groups;             ///< who may open blobs there, besides root
    std::filesystem::path layers_dir = "/run/sluice/layers";
    FrontEndMode front_end = FrontEndMode::kAuto;
    std::filesystem::path blobs_dir = "/run/sluice/blobs"; ///< where FUSE file systems are mounted
    std::string domain_id = "sluice";

    std::chrono::milliseconds read_deadline{30'000};
    std::chrono::milliseconds connect_timeout{5'000};
    std::chrono::milliseconds stall_timeout{10'000};
    std::uint64_t read_ahead = 16U << 20; ///< 0: none
    std::uint64_t random_window = 64U << 10;
    std::uint64_t max_request = 4U << 20;
    std::uint64_t memory_budget = 32U << 20;
    unsigned connections = 16; ///< per host
    unsigned workers = default_workers();
    bool lazy_only = false;
    log::Level log_level = log::Level::kInfo;

    friend bool operator==(const Config&, const Config&) = default;
};

/// Everything wrong with a file, one sentence each, in the order of its lines: "FILE:LINE:
/// DIRECTIVE: what and what is allowed". Never empty; ends with a count when there was more than is
/// worth reading.
using ConfigErrors = std::vector<std::string>;
using ConfigResult = tl::expected<Config, ConfigErrors>;

inline constexpr std::size_t kMaxConfigBytes = 256U << 10;

/// Pure. `name` stands for the file in error texts.
[[nodiscard]] ConfigResult parse_config(std::string_view text, std::string_view name);

/// Reads the file (a regular file or a pipe, at most kMaxConfigBytes) and parses it.
[[nodiscard]] ConfigResult load_config(const std::filesystem::path& file);

/// The same configuration in config syntax, every directive in it; those that are not set stand as
/// comments. parse_config(print_config(c)) == c.
[[nodiscard]] std::string print_config(const Config& config);

} // namespace sluice::daemon
