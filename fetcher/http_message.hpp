// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "fetcher/network.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::fetcher {

/// The header fields of one response, in order, names as they came.
class HttpHeaders {
public:
    /// A line as it comes from the wire. A status line starts anew, so that only the final
    /// response's fields stay.
    void add_line(std::string_view line);
    void add(std::string name, std::string value);

    /// The first field of that name (case does not matter); nullptr when there is none.
    [[nodiscard]] const std::string* find(std::string_view name) const noexcept;
    [[nodiscard]] std::vector<std::string> all(std::string_view name) const;

private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

/// A body that is read from a descriptor as it is sent. The descriptor stays the caller's.
struct HttpUpload {
    int fd = -1;
    std::uint64_t size = 0;
    std::function<void(std::uint64_t)> progress; ///< bytes sent so far; never from inside libcurl
};

struct HttpRequest {
    std::string method = "GET";
    std::string url;
    std::vector<std::string> headers; ///< "Name: value"
    std::string body;
    std::optional<HttpUpload> upload; ///< instead of `body`
    std::string unix_socket;          ///< path; empty: TCP
    std::size_t limit = 1024 * 1024;  ///< of the response's body; a longer one is an error
    Deadline deadline = Deadline::after(milliseconds{30'000});
    std::optional<Network>
        sent_by; ///< where the server is that leads us to `url`; nothing: we want to go there ourselves
};

struct HttpResponse {
    int status = 0;
    HttpHeaders headers;
    std::string body;
    Network network = Network::kPublic; ///< where it came from
};

} // namespace sluice::fetcher
