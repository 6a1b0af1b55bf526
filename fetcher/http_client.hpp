// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "fetcher/http_message.hpp"
#include "fetcher/network.hpp"
#include "fetcher/proxy.hpp"

#include <functional>
#include <memory>
#include <string>

namespace sluice::fetcher {

class CurlEngine;

struct HttpOptions {
    std::string ca_file; ///< PEM; empty: the system's. Extends nothing: it takes the system's place.
    std::string ca_directory;
    /// Puts the certificates of authorities, which were read before, into a TLS context; false when it cannot. Where it
    /// is set, libcurl reads neither of the above: it does so anew for each connection, and the loop waits.
    std::function<bool(void* ssl_context)> authorities;
    std::string user_agent = "sluice";
    milliseconds connect_timeout{5000};
    milliseconds stall_timeout{10'000}; ///< without a single byte for that long, a transfer has failed
    unsigned connections_per_host = 16;
    /// Follow servers into networks that they are not in themselves: redirects, token servers, upload locations.
    bool private_networks = false;
    std::function<Network(const sockaddr&)> network_of = &fetcher::network_of; ///< another one for tests
    ProxySettings proxies = ProxySettings::from_environment();
};

/// HTTP requests with small answers, on the loop's thread. Any status is an answer; an error means
/// there was none. Redirects are not followed. Must outlive its tasks; destroying a task cancels
/// the request. kDenied where a server that leads us there must not: see `sent_by`.
class HttpClient {
public:
    /// Throws std::runtime_error when libcurl cannot be set up.
    HttpClient(EventLoop& loop, HttpOptions options);
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;
    ~HttpClient();

    [[nodiscard]] Task<Result<HttpResponse>> send(HttpRequest request);

    [[nodiscard]] const HttpOptions& options() const noexcept { return options_; }

    [[nodiscard]] CurlEngine& engine() noexcept { return *engine_; }

private:
    HttpOptions options_;
    std::unique_ptr<CurlEngine> engine_;
};

} // namespace sluice::fetcher
