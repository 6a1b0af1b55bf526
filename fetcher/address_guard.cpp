// SPDX-License-Identifier: Apache-2.0
#include "fetcher/address_guard.hpp"

#include "fetcher/http_client.hpp"
#include "fetcher/url.hpp"

#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace sluice::fetcher {

namespace {

const sockaddr& as_sockaddr(const sockaddr_storage& address) noexcept
{
    return *static_cast<const sockaddr*>(static_cast<const void*>(&address));
}

std::string print(const sockaddr& address)
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof v4);
        ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    } else if (address.sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof v6);
        ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    }
    return text.data();
}

} // namespace

AddressGuard::AddressGuard(const HttpOptions& options, const std::string& url, std::optional<Network> sent_by)
    : options_{options}, sent_by_{options.private_networks ? std::nullopt : sent_by}
{
    const auto origin = origin_of(url);
    if (!origin) {
        return; // the transfer will fail
    }
    proxied_ = !options.proxies.choose(*origin).empty();
    sockaddr_storage address;
    if (parse_address(origin->host, 0, address)) {
        peer_ = network_of(as_sockaddr(address));
        if (proxied_) {
            (void)allows(as_sockaddr(address));
        }
    }
}

void AddressGuard::install(CurlEasy& easy)
{
    if (proxied_) {
        return;
    }
    easy.set(CURLOPT_OPENSOCKETFUNCTION, &AddressGuard::open_socket);
    easy.set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
    easy.set(CURLOPT_PREREQFUNCTION, &AddressGuard::before_request);
    easy.set(CURLOPT_PREREQDATA, static_cast<void*>(this));
}

bool AddressGuard::allows(const sockaddr& address)
{
    const auto network = options_.network_of(address);
    if (!sent_by_ || may_lead_to(*sent_by_, network)) {
        return true;
    }
    if (!refused_) {
        refused_ = Refused{print(address), network};
    }
    return false;
}

curl_socket_t AddressGuard::open_socket(void* self, curlsocktype, curl_sockaddr* address) noexcept
{
    if (!static_cast<AddressGuard*>(self)->allows(address->addr)) {
        return CURL_SOCKET_BAD; // libcurl goes on with the name's next address
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/// Connections that are used again were opened for others, who may go where we may not.
int AddressGuard::before_request(void* self, char* remote, char*, int remote_port, int) noexcept
{
    auto& guard = *static_cast<AddressGuard*>(self);
    sockaddr_storage address;
    if (!parse_address(remote, static_cast<std::uint16_t>(remote_port), address)) {
        return guard.sent_by_ ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
    }
    if (!guard.allows(as_sockaddr(address))) {
        return CURL_PREREQFUNC_ABORT;
    }
    guard.refused_.reset(); // another address of the same name was, and this one is not
    guard.peer_ = guard.options_.network_of(as_sockaddr(address));
    return CURL_PREREQFUNC_OK;
}

Error AddressGuard::refusal(std::string_view what) const
{
    return Error{
        ErrorKind::kDenied,
        fmt::format(
            "{}: refused to connect to {}, a {} address, where a server at a {} one has sent us "
            "(registry-private-networks in sluiced.conf would allow it)",
            what,
            refused_->address,
            to_string(refused_->network),
            to_string(*sent_by_)
        )};
}

} // namespace sluice::fetcher
