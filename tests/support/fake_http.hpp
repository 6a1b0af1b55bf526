// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::test {

/// A request as a fake server saw it.
struct FakeHttpRequest {
    std::string method;
    std::string path;                                         ///< without query
    std::string query;                                        ///< without "?"
    std::vector<std::pair<std::string, std::string>> headers; ///< names in lower case
    std::string body;

    /// An empty string when it is missing.
    [[nodiscard]] std::string header(std::string_view name) const;
    [[nodiscard]] std::string query_field(std::string_view name) const; ///< percent-decoded

    /// Of "Range: bytes=a-b".
    [[nodiscard]] std::optional<ByteRange> range() const;
};

/// Bytes to be served: in memory, or in a file.
struct FakeContent {
    std::shared_ptr<const std::string> bytes;
    std::shared_ptr<UniqueFd> file;
    std::uint64_t size = 0;
};

/// One end of a connection, blocking. Every wait ends when the descriptor is shut down from outside.
class FakeHttpStream {
public:
    explicit FakeHttpStream(int fd) noexcept : fd_{fd} {}

    /// Nothing at the end of the connection, or when it talks nonsense.
    [[nodiscard]] std::optional<FakeHttpRequest> read_request();

    /// False when the other side is gone.
    [[nodiscard]] bool send(std::string_view text);
    [[nodiscard]] bool send(const FakeContent& content, ByteRange range);

private:
    [[nodiscard]] bool fill();

    int fd_;
    std::string buffer_;
};

} // namespace sluice::test
