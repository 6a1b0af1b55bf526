// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "fetcher/curl_handle.hpp"
#include "fetcher/http_message.hpp"
#include "fetcher/network.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::fetcher {

struct HttpOptions;

/// Looks at the addresses that one transfer connects to, before anything is sent: where a server has led us, some are
/// refused. A connection to the environment's proxy is not looked at, since a name is looked up by the proxy; numeric
/// addresses are, also then. Lives as long as the transfer. Loop's thread.
class AddressGuard {
public:
    /// `sent_by`: in what network the server is that leads us to `url`; nothing: we were asked to go there.
    AddressGuard(const HttpOptions& options, const std::string& url, std::optional<Network> sent_by);
    AddressGuard(const AddressGuard&) = delete;
    AddressGuard& operator=(const AddressGuard&) = delete;
    ~AddressGuard() = default;

    /// Not for requests to Unix sockets.
    void install(CurlEasy& easy);

    /// Whether the URL itself names a forbidden address: nothing needs to be started then.
    [[nodiscard]] bool refused() const noexcept { return refused_.has_value(); }

    /// kDenied: `what`, the address, and what may be done about it. Only if refused().
    [[nodiscard]] Error refusal(std::string_view what) const;

    /// Where the answer comes from. Behind a proxy: what the URL's numeric address says, else public.
    [[nodiscard]] Network peer() const noexcept { return peer_; }

private:
    static curl_socket_t open_socket(void* self, curlsocktype purpose, curl_sockaddr* address) noexcept;
    static int before_request(void* self, char* remote, char* local, int remote_port, int local_port) noexcept;
    [[nodiscard]] bool allows(const sockaddr& address);

    const HttpOptions& options_;
    std::optional<Network> sent_by_;
    bool proxied_ = false;
    Network peer_ = Network::kPublic;

    struct Refused {
        std::string address;
        Network network;
    };

    std::optional<Refused> refused_;
};

} // namespace sluice::fetcher
