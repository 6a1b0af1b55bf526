// SPDX-License-Identifier: Apache-2.0
#include "fetcher/proxy.hpp"

#include "base/text.hpp"
#include "fetcher/network.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <span>

namespace sluice::fetcher {

namespace {

std::string first_of(const ProxySettings::Lookup& variable, std::initializer_list<const char*> names)
{
    for (const auto* name : names) {
        if (const char* value = variable(name); value != nullptr && *value != '\0') {
            return value;
        }
    }
    return {};
}

/// The bytes of a numeric address, and how many: 4 or 16; 0 for a name.
struct Number {
    explicit Number(std::string_view host)
    {
        if (host.starts_with('[') && host.ends_with(']')) {
            host = host.substr(1, host.size() - 2);
        }
        const std::string text{host};
        if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
            size = 4;
        } else if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
            size = 16;
        }
    }

    [[nodiscard]] bool shares_bits(const Number& other, std::uint64_t bits) const noexcept
    {
        if (size != other.size || bits > size * 8) {
            return false;
        }
        const auto whole = static_cast<std::size_t>(bits / 8);
        const auto rest = static_cast<unsigned>(bits % 8);
        return std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(whole), other.bytes.begin()) &&
               (rest == 0 || (bytes.at(whole) ^ other.bytes.at(whole)) >> (8 - rest) == 0);
    }

    std::array<std::uint8_t, 16> bytes{};
    std::size_t size = 0;
};

bool names_address(std::string_view entry, const Number& host)
{
    const auto slash = entry.find('/');
    const Number network{entry.substr(0, slash)};
    const auto bits =
        slash == std::string_view::npos ? std::optional{network.size * 8U} : parse_u64(entry.substr(slash + 1));
    return network.size != 0 && bits && network.shares_bits(host, *bits);
}

bool names_domain(std::string_view entry, std::string_view host)
{
    while (entry.starts_with('.')) {
        entry.remove_prefix(1);
    }
    if (entry.ends_with('.')) {
        entry.remove_suffix(1);
    }
    if (entry.empty() || host.size() < entry.size()) {
        return false;
    }
    const auto before = host.size() - entry.size();
    return equals_ignoring_case(host.substr(before), entry) && (before == 0 || host[before - 1] == '.');
}

} // namespace

// HTTP_PROXY in capitals is what a CGI program gets from its client's "Proxy:" header: nobody believes that one.
ProxySettings::ProxySettings(const Lookup& variable)
    : http_{first_of(variable, {"http_proxy", "all_proxy", "ALL_PROXY"})}
    , https_{first_of(variable, {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})}
    , exempt_{first_of(variable, {"no_proxy", "NO_PROXY"})}
{}

ProxySettings ProxySettings::from_environment()
{
    return ProxySettings{[](const char* name) {
        return std::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody sets it
    }};
}

std::string ProxySettings::choose(const Origin& origin) const
{
    const auto& proxy = origin.scheme == "https" ? https_ : http_;
    const bool here = origin.host == "localhost" || network_of_literal(origin.host) == Network::kLoopback;
    return here || is_exempt(origin.host) ? std::string{} : proxy;
}

bool ProxySettings::is_exempt(std::string_view host) const
{
    if (host.ends_with('.')) {
        host.remove_suffix(1);
    }
    const Number number{host};
    std::string_view rest = exempt_;
    while (!rest.empty()) {
        const auto end = std::min(rest.find_first_of(", \t"), rest.size());
        const auto entry = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (entry == "*" || (number.size != 0 ? names_address(entry, number) : names_domain(entry, host))) {
            return true;
        }
    }
    return false;
}

} // namespace sluice::fetcher
