// SPDX-License-Identifier: Apache-2.0
#include "fetcher/network.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstddef>
#include <cstring>
#include <netinet/in.h>
#include <span>

namespace sluice::fetcher {

namespace {

using Bytes6 = std::array<std::uint8_t, 16>;

struct Block4 {
    std::uint32_t address;
    unsigned bits;
    Network network;
};

constexpr std::uint32_t ip(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) noexcept
{
    return a << 24 | b << 16 | c << 8 | d;
}

// The first that fits counts.
constexpr Block4 kBlocks4[] = {
    {ip(0, 0, 0, 0), 8, Network::kLoopback}, // Linux connects 0.0.0.0 to itself
    {ip(127, 0, 0, 0), 8, Network::kLoopback},
    {ip(100, 100, 100, 200), 32, Network::kLinkLocal}, // Alibaba's instance metadata
    {ip(169, 254, 0, 0), 16, Network::kLinkLocal},
    {ip(192, 0, 0, 0), 24, Network::kLinkLocal}, // Oracle's instance metadata among them
    {ip(10, 0, 0, 0), 8, Network::kPrivate},
    {ip(100, 64, 0, 0), 10, Network::kPrivate},
    {ip(172, 16, 0, 0), 12, Network::kPrivate},
    {ip(192, 168, 0, 0), 16, Network::kPrivate},
    {ip(198, 18, 0, 0), 15, Network::kPrivate},
    {ip(224, 0, 0, 0), 3, Network::kLinkLocal}, // multicast, reserved, broadcast
};

Network network_of_v4(std::uint32_t address) noexcept
{
    const auto* found = std::ranges::find_if(kBlocks4, [address](const Block4& block) {
        return (address ^ block.address) >> (32 - block.bits) == 0;
    });
    return found == std::end(kBlocks4) ? Network::kPublic : found->network;
}

std::uint32_t v4_at(const Bytes6& bytes, std::size_t at) noexcept
{
    return ip(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
}

bool begins_with(const Bytes6& bytes, std::span<const std::uint8_t> prefix) noexcept
{
    return std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

Network network_of_v6(const Bytes6& bytes) noexcept
{
    static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static constexpr std::uint8_t kZeros[12] = {};
    static constexpr std::uint8_t kNat64[12] = {0x00, 0x64, 0xff, 0x9b};
    static constexpr std::uint8_t kLocalNat64[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
    static constexpr std::uint8_t kSixToFour[2] = {0x20, 0x02};
    static constexpr std::uint8_t kAmazonSecrets[4] = {0xfd, 0x00, 0x0e, 0xc2};
    if (begins_with(bytes, kMapped) || begins_with(bytes, kNat64)) {
        return network_of_v4(v4_at(bytes, 12));
    }
    if (begins_with(bytes, kZeros)) { // ::, ::1, and the old "compatible" form
        return v4_at(bytes, 12) <= 1 ? Network::kLoopback : network_of_v4(v4_at(bytes, 12));
    }
    if (begins_with(bytes, kSixToFour)) {
        return network_of_v4(v4_at(bytes, 2));
    }
    if (begins_with(bytes, kAmazonSecrets) || bytes[0] == 0xff || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80)) {
        return Network::kLinkLocal;
    }
    const bool unique_local = (bytes[0] & 0xfe) == 0xfc;
    const bool site_local = bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0xc0;
    return unique_local || site_local || begins_with(bytes, kLocalNat64) ? Network::kPrivate : Network::kPublic;
}

} // namespace

std::string_view to_string(Network network) noexcept
{
    switch (network) {
    case Network::kPublic:
        return "public";
    case Network::kPrivate:
        return "private";
    case Network::kLinkLocal:
        return "link-local";
    case Network::kLoopback:
        break;
    }
    return "loopback";
}

Network network_of(const sockaddr& address) noexcept
{
    if (address.sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof v4);
        return network_of_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (address.sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof v6);
        return network_of_v6(std::to_array(v6.sin6_addr.s6_addr));
    }
    return Network::kLoopback;
}

bool parse_address(std::string_view host, std::uint16_t port, sockaddr_storage& into) noexcept
{
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    }
    host = host.substr(0, host.find('%')); // an IPv6 zone
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (host.size() >= text.size()) {
        return false;
    }
    std::ranges::copy(host, text.begin());
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    into = {};
    if (::inet_pton(AF_INET, text.data(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        std::memcpy(&into, &v4, sizeof v4);
        return true;
    }
    if (::inet_pton(AF_INET6, text.data(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        std::memcpy(&into, &v6, sizeof v6);
        return true;
    }
    return false;
}

std::optional<Network> network_of_literal(std::string_view host) noexcept
{
    sockaddr_storage address;
    if (!parse_address(host, 0, address)) {
        return std::nullopt;
    }
    return network_of(*static_cast<const sockaddr*>(static_cast<const void*>(&address)));
}

bool may_lead_to(Network from, Network to) noexcept
{
    // What runs on this machine could reach our private networks by itself.
    return to == Network::kPublic || to == from || (from == Network::kLoopback && to == Network::kPrivate);
}

} // namespace sluice::fetcher
