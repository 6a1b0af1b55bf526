// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <array>
#include <compare>
#include <cstddef>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

/// A SHA-256 digest. OCI's `sha256:<64 lower-case hex digits>` is its printed form.
class Digest {
public:
    static constexpr std::size_t kSize = 32;
    using Bytes = std::array<std::byte, kSize>;

    constexpr Digest() noexcept = default;

    constexpr explicit Digest(const Bytes& bytes) noexcept : bytes_{bytes} {}

    /// `text` must be "sha256:" and 64 lower-case hex digits; other algorithms are named in the error.
    [[nodiscard]] static Result<Digest> parse(std::string_view text);

    /// 64 hex digits without the algorithm, as in cookie keys and annotations of other tools.
    [[nodiscard]] static Result<Digest> parse_hex(std::string_view hex);

    [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }

    [[nodiscard]] std::string hex() const;

    /// "sha256:…"
    [[nodiscard]] std::string to_string() const;

    friend constexpr auto operator<=>(const Digest&, const Digest&) noexcept = default;

private:
    Bytes bytes_{};
};

/// How a folder that may not include OpenSSL is given SHA-256 (`trust::sha256` is the one implementation).
using Sha256Function = Digest (*)(std::span<const std::byte>);

} // namespace sluice

template <>
struct std::hash<sluice::Digest> {
    [[nodiscard]] std::size_t operator()(const sluice::Digest& digest) const noexcept
    {
        std::size_t value = 0; // any eight bytes of a cryptographic digest are a perfect hash
        std::memcpy(&value, digest.bytes().data(), sizeof value);
        return value;
    }
};
