// SPDX-License-Identifier: Apache-2.0
//
// What part of the network an address is in. Who is led somewhere by a server must not be led into a part that the
// server itself is not in: else it could have this machine ask what only this machine can reach. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <sys/socket.h>

namespace sluice::fetcher {

enum class Network : std::uint8_t {
    kPublic,
    kPrivate,   ///< RFC 1918, carriers' 100.64/10, unique local, site-local, benchmarking
    kLinkLocal, ///< 169.254/16, fe80::/10, multicast, reserved, and where clouds keep an instance's secrets
    kLoopback,  ///< this machine: 127/8, ::1, 0/8, ::
};

/// "public", "private", "link-local", "loopback"
[[nodiscard]] std::string_view to_string(Network network) noexcept;

/// Of an IPv4 or IPv6 address; IPv4 inside of IPv6 (mapped, 6to4, NAT64) counts as what it is. What is neither is this
/// machine's own: a Unix socket.
[[nodiscard]] Network network_of(const sockaddr& address) noexcept;

/// A numeric address and a port, into `into`. False when `host` (with or without brackets) is a name.
[[nodiscard]] bool parse_address(std::string_view host, std::uint16_t port, sockaddr_storage& into) noexcept;

/// Nothing when `host` is a name: "127.evil.example" is one.
[[nodiscard]] std::optional<Network> network_of_literal(std::string_view host) noexcept;

/// Whether a server in `from` may send us to an address in `to`.
[[nodiscard]] bool may_lead_to(Network from, Network to) noexcept;

} // namespace sluice::fetcher
