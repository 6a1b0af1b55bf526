// SPDX-License-Identifier: Apache-2.0
#include "fetcher/url.hpp"

#include "base/text.hpp"
#include "fetcher/curl_handle.hpp"

#include <cstddef>
#include <fmt/format.h>
#include <limits>

namespace sluice::fetcher {

namespace {

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0)
{
    char* text = nullptr;
    if (curl_url_get(url, which, &text, flags) != CURLUE_OK) {
        return {};
    }
    const CurlPtr<char> owner{text};
    return text;
}

Result<CurlPtr<CURLU>> parse(const std::string& url)
{
    CurlPtr<CURLU> handle{curl_url()};
    if (!handle || curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
        return fail(ErrorKind::kInvalid, fmt::format("\"{}\" is not a URL", printable(url.substr(0, url.find('?')))));
    }
    return handle;
}

bool is_http(std::string_view scheme) noexcept
{
    return scheme == "http" || scheme == "https";
}

} // namespace

Result<Origin> origin_of(const std::string& url)
{
    auto handle = parse(url);
    if (!handle) {
        return fail(std::move(handle.error()));
    }
    Origin origin{
        .scheme = part(handle->get(), CURLUPART_SCHEME),
        .host = part(handle->get(), CURLUPART_HOST),
        .port = part(handle->get(), CURLUPART_PORT, CURLU_DEFAULT_PORT),
    };
    if (!is_http(origin.scheme)) {
        return fail(ErrorKind::kInvalid, fmt::format("\"{}\" is neither http nor https", printable(public_url(url))));
    }
    for (auto& c : origin.host) {
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return origin;
}

Result<std::string> resolve_location(const std::string& base, const std::string& location)
{
    auto handle = parse(base);
    if (!handle) {
        return fail(std::move(handle.error()));
    }
    const auto scheme = part(handle->get(), CURLUPART_SCHEME);
    if (location.empty() || curl_url_set(handle->get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: redirected to a place that is no URL", public_url(base)));
    }
    const auto next_scheme = part(handle->get(), CURLUPART_SCHEME);
    auto next = part(handle->get(), CURLUPART_URL);
    if (!is_http(next_scheme)) {
        return fail(
            ErrorKind::kInvalid, fmt::format("{}: redirected to a {} URL", public_url(base), printable(next_scheme))
        );
    }
    if (scheme == "https" && next_scheme == "http") {
        return fail(
            ErrorKind::kDenied,
            fmt::format("{}: refused to follow from https to {}", public_url(base), public_url(next))
        );
    }
    return next;
}

std::string public_url(const std::string& url)
{
    const CurlPtr<CURLU> handle{curl_url()};
    if (!handle || curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
        return "a URL";
    }
    for (const auto which : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT}) {
        curl_url_set(handle.get(), which, nullptr, 0);
    }
    return printable(part(handle.get(), CURLUPART_URL));
}

std::string encode_fields(const QueryFields& fields)
{
    static constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    std::string text;
    const auto encode = [&text](std::string_view value) {
        for (const char c : value) {
            if (kPlain.find(c) != std::string_view::npos) {
                text.push_back(c);
            } else {
                text += fmt::format("%{:02X}", static_cast<unsigned char>(c));
            }
        }
    };
    for (const auto& [name, value] : fields) {
        if (!text.empty()) {
            text.push_back('&');
        }
        encode(name);
        text.push_back('=');
        encode(value);
    }
    return text;
}

std::string with_query(std::string url, const QueryFields& fields)
{
    url += url.find('?') == std::string::npos ? '?' : '&';
    return url + encode_fields(fields);
}

std::string query_field(std::string_view url, std::string_view name)
{
    const auto question = url.find('?');
    if (question == std::string_view::npos) {
        return {};
    }
    url.remove_prefix(question + 1);
    for (const auto field : split(url.substr(0, url.find('#')), '&')) {
        const auto equals = field.find('=');
        if (equals == std::string_view::npos || !equals_ignoring_case(field.substr(0, equals), name)) {
            continue;
        }
        const auto value = field.substr(equals + 1);
        if (value.empty() || value.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
            return {};
        }
        int length = 0;
        const CurlPtr<char> decoded{curl_easy_unescape(nullptr, value.data(), static_cast<int>(value.size()), &length)};
        return decoded ? std::string{decoded.get(), static_cast<std::size_t>(length)} : std::string{};
    }
    return {};
}

} // namespace sluice::fetcher
