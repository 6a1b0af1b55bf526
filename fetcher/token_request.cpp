// SPDX-License-Identifier: Apache-2.0
#include "fetcher/token_request.hpp"

#include "base/json.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"
#include "fetcher/url.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fmt/format.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr std::size_t kMaxAnswer = 1024 * 1024;
constexpr std::uint64_t kDefaultSeconds = 60; // by the protocol's definition
constexpr std::uint64_t kMaxSeconds = 86'400;
constexpr std::string_view kClientId = "sluice";

/// As header field text: a token with a line break would smuggle in fields of its own.
bool is_header_safe(std::string_view text) noexcept
{
    return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

QueryFields common_fields(const AuthChallenge& challenge, const std::string& scope)
{
    QueryFields fields;
    if (auto service = challenge.parameter("service"); !service.empty()) {
        fields.emplace_back("service", std::move(service));
    }
    fields.emplace_back("scope", scope);
    return fields;
}

} // namespace

Result<Token> parse_token(std::string_view body)
{
    const auto document = parse_json(body, "token", kMaxAnswer);
    if (!document) {
        return fail(document.error());
    }
    const auto* value = json_string(*document, "token");
    if (value == nullptr || value->empty()) {
        value = json_string(*document, "access_token");
    }
    if (value == nullptr || value->empty() || !is_header_safe(*value)) {
        return fail(ErrorKind::kInvalid, "token: the answer holds no usable token");
    }
    auto seconds = kDefaultSeconds;
    const auto* expires = json_member(*document, "expires_in");
    if (expires != nullptr && expires->is_number_unsigned() && *expires > 0U) {
        seconds = std::min(expires->get<std::uint64_t>(), kMaxSeconds);
    }
    return Token{*value, milliseconds{seconds * 1000}};
}

Result<void> check_realm(const std::string& realm, std::string_view registry_scheme)
{
    const auto origin = origin_of(realm);
    if (!origin) {
        return fail(origin.error(), "token server");
    }
    if (registry_scheme == "https" && origin->scheme == "http") {
        return fail(ErrorKind::kDenied, fmt::format("token server {}: refused to leave https", public_url(realm)));
    }
    return {};
}

std::string basic_header(const Credential& credential)
{
    Secret plain{credential.username.size() + 1 + credential.password.size()};
    (void)plain.append(credential.username);
    (void)plain.append(":");
    (void)plain.append(credential.password);
    return "Basic " + encode_base64(as_byte_span(plain.view()));
}

HttpRequest token_post(const AuthChallenge& challenge, const std::string& scope, const Credential& credential)
{
    auto fields = common_fields(challenge, scope);
    fields.emplace_back("client_id", kClientId);
    if (!credential.identity_token.empty()) {
        fields.emplace_back("grant_type", "refresh_token");
        fields.emplace_back("refresh_token", credential.identity_token);
    } else {
        fields.emplace_back("grant_type", "password");
        fields.emplace_back("username", credential.username);
        fields.emplace_back("password", credential.password);
    }
    HttpRequest request;
    request.method = "POST";
    request.url = challenge.parameter("realm");
    request.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
    request.body = encode_fields(fields);
    return request;
}

HttpRequest token_get(const AuthChallenge& challenge, const std::string& scope, const Credential& credential)
{
    HttpRequest request;
    request.url = with_query(challenge.parameter("realm"), common_fields(challenge, scope));
    if (!credential.username.empty()) {
        request.headers.push_back("Authorization: " + basic_header(credential));
    }
    return request;
}

} // namespace sluice::fetcher
