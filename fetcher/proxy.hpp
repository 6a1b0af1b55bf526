// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fetcher/url.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace sluice::fetcher {

/// Through which proxies the environment wants its requests to go, by libcurl's rules. We choose, and not libcurl, so
/// as to know which connections are to a proxy. A value; pure but for from_environment().
class ProxySettings {
public:
    using Lookup = std::function<const char*(const char*)>; ///< as getenv()

    /// No proxies.
    ProxySettings() = default;
    explicit ProxySettings(const Lookup& variable);

    [[nodiscard]] static ProxySettings from_environment();

    /// What CURLOPT_PROXY is set to: an empty string where there is none. This machine, by number or as "localhost", is
    /// never reached by way of a proxy.
    [[nodiscard]] std::string choose(const Origin& origin) const;

private:
    [[nodiscard]] bool is_exempt(std::string_view host) const;

    std::string http_;
    std::string https_;
    std::string exempt_;
};

} // namespace sluice::fetcher
