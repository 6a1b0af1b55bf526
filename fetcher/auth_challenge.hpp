// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::fetcher {

/// One way to authenticate that a server offers.
struct AuthChallenge {
    std::string scheme;                                         ///< lower case
    std::map<std::string, std::string, std::less<>> parameters; ///< names in lower case

    [[nodiscard]] std::string parameter(std::string_view name) const;

    friend bool operator==(const AuthChallenge&, const AuthChallenge&) = default;
};

/// All challenges of all WWW-Authenticate fields, in order. What cannot be understood is left out:
/// a server's strange scheme must not hide one that we know. Pure.
[[nodiscard]] std::vector<AuthChallenge> parse_challenges(const std::vector<std::string>& fields);

} // namespace sluice::fetcher
