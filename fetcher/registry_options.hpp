// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/backoff.hpp"
#include "base/error.hpp"
#include "fetcher/http_client.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace sluice::fetcher {

struct RegistryOptions {
    HttpOptions http;
    std::string credentials_file;      ///< docker's config.json or podman's auth.json; empty: anonymous
    std::vector<std::string> insecure; ///< registries ("host[:port]") that are spoken to in plain http
    /// Between tries. As many as the deadline has room for: a registry that is started anew fails nobody.
    BackoffPolicy retry{.longest = milliseconds{2000}, .tries = std::numeric_limits<unsigned>::max()};
    std::function<TimePoint()> now = &SteadyClock::now; ///< by which tokens grow old; another one for tests
    milliseconds token_timeout{10'000};                 ///< for a token, credential helper included
    std::uint64_t max_skip = 16 * 1024 * 1024; ///< of a body that ignores Range, bytes thrown away to get at ours
};

/// What the fetcher has done since it was made; for the status page.
struct FetchCounters {
    std::uint64_t requests = 0;
    std::uint64_t bytes_received = 0; ///< of blobs, delivered or not
    std::uint64_t retries = 0;
    std::uint64_t redirects = 0;
    std::uint64_t tokens = 0;
    std::array<std::uint64_t, 10> errors{}; ///< by ErrorKind, of attempts and not of whole fetches

    void count(ErrorKind kind) noexcept { ++errors.at(static_cast<std::size_t>(kind)); }
};

} // namespace sluice::fetcher
