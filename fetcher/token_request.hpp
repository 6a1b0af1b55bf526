// SPDX-License-Identifier: Apache-2.0
//
// The token server's side of docker's registry authentication. Pure.
#pragma once

#include "base/clock.hpp"
#include "base/result.hpp"
#include "fetcher/auth_challenge.hpp"
#include "fetcher/credentials.hpp"
#include "fetcher/http_message.hpp"

#include <string>
#include <string_view>

namespace sluice::fetcher {

struct Token {
    std::string value;
    milliseconds lifetime{0};
};

/// A token server's answer: `token` or `access_token`, `expires_in` seconds (60 where it is
/// missing).
[[nodiscard]] Result<Token> parse_token(std::string_view body);

/// Whether a registry spoken to by `registry_scheme` may send us to `realm` for a token: never from https to http. What
/// address it has is looked at when it is connected to.
[[nodiscard]] Result<void> check_realm(const std::string& realm, std::string_view registry_scheme);

/// "Basic …"
[[nodiscard]] std::string basic_header(const Credential& credential);

/// The OAuth2 form of asking, for those who have a secret.
[[nodiscard]] HttpRequest
token_post(const AuthChallenge& challenge, const std::string& scope, const Credential& credential);

/// The older form, anonymous too.
[[nodiscard]] HttpRequest
token_get(const AuthChallenge& challenge, const std::string& scope, const Credential& credential);

} // namespace sluice::fetcher
