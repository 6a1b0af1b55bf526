// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "fetcher/curl_handle.hpp"
#include "fetcher/http_client.hpp"

#include <string>
#include <vector>

namespace sluice::fetcher {

/// What every request of ours has in common: no redirects by libcurl, no other protocols, timeouts,
/// TLS, HTTP/2 where offered.
void set_up_request(
    CurlEasy& easy,
    const HttpOptions& options,
    const std::string& url,
    const std::vector<std::string>& headers,
    Deadline deadline
);

} // namespace sluice::fetcher
