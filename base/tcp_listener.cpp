// SPDX-License-Identifier: Apache-2.0
#include "base/tcp_listener.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <sys/socket.h>

namespace sluice {

namespace {

struct Address {
    sockaddr_storage bytes{};
    socklen_t size = 0;
};

template <typename Sockaddr>
Address pack(const Sockaddr& address) noexcept
{
    Address packed;
    std::memcpy(&packed.bytes, &address, sizeof address);
    packed.size = sizeof address;
    return packed;
}

std::optional<Address> parse(std::string_view text)
{
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return std::nullopt;
    }
    const auto digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size() || port == 0) {
        return std::nullopt;
    }
    const std::string host{text.substr(0, colon)};
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &four.sin_addr) == 1) {
        return pack(four);
    }
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    const bool in_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (in_brackets && ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &six.sin6_addr) == 1) {
        return pack(six);
    }
    return std::nullopt;
}

} // namespace

bool is_tcp_address(std::string_view text) noexcept
{
    return parse(text).has_value();
}

Result<UniqueFd> listen_tcp(std::string_view address)
{
    constexpr int kQueue = 16;
    constexpr int kOn = 1;
    const auto parsed = parse(address);
    if (!parsed) {
        return fail(ErrorKind::kInvalid, std::string{address} + ": not an address and a port, such as 127.0.0.1:9100");
    }
    UniqueFd fd{kAdoptFd, ::socket(parsed->bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&parsed->bytes));
    // The connections of the daemon before this one may still be closing.
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn) != 0 ||
        ::bind(fd.get(), generic, parsed->size) != 0 || ::listen(fd.get(), kQueue) != 0) {
        return fail_errno(errno, std::string{address});
    }
    return fd;
}

} // namespace sluice
