// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <string>

namespace sluice::fetcher {

struct TokenKey {
    std::string host;
    std::string identity; ///< who we are there; empty: anonymous
    std::string scope;

    friend auto operator<=>(const TokenKey&, const TokenKey&) = default;
};

/// How long a token that lives for `lifetime` is used: 80 % of it, less up to a tenth by `random`
/// (all 32 bits), so that nodes that got theirs together do not refresh together. Pure.
[[nodiscard]] milliseconds usable_lifetime(milliseconds lifetime, std::uint32_t random) noexcept;

/// Values of Authorization headers, each until it should be renewed. A value type, bounded. Not
/// thread-safe.
class TokenCache {
public:
    void put(TokenKey key, std::string header, TimePoint until, TimePoint now);

    /// An empty string when there is none, or no fresh one.
    [[nodiscard]] std::string find(const TokenKey& key, TimePoint now) const;

    /// Forgets it if it is still `header`: somebody may have renewed it since.
    void drop(const TokenKey& key, const std::string& header);

private:
    struct Entry {
        std::string header;
        TimePoint until;
    };

    std::map<TokenKey, Entry> entries_;
};

} // namespace sluice::fetcher
