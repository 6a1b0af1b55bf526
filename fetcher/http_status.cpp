// SPDX-License-Identifier: Apache-2.0
#include "fetcher/http_status.hpp"

#include "base/json.hpp"
#include "base/text.hpp"
#include "fetcher/curl_handle.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr std::size_t kMaxErrorBody = 64 * 1024;
constexpr std::uint64_t kMaxSeconds = 86'400;

std::string_view reason_of(int status) noexcept
{
    constexpr std::pair<int, std::string_view> kReasons[] = {
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {416, "Range Not Satisfiable"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (const auto& [code, reason] : kReasons) {
        if (code == status) {
            return reason;
        }
    }
    return "unexpected status";
}

/// The first of {"errors": [{"code": …, "message": …}]}, or what a token server calls its error.
std::string message_of(std::string_view body)
{
    const auto document = parse_json(body, "error", kMaxErrorBody);
    if (!document) {
        return {};
    }
    if (const auto* details = json_string(*document, "details"); details != nullptr) {
        return printable(*details);
    }
    const auto* errors = json_member(*document, "errors");
    if (errors == nullptr || !errors->is_array() || errors->empty()) {
        return {};
    }
    const auto* message = json_string(errors->front(), "message");
    const auto* code = json_string(errors->front(), "code");
    if (message != nullptr && !message->empty()) {
        return printable(*message);
    }
    return code == nullptr ? std::string{} : printable(*code);
}

} // namespace

ErrorKind kind_of_status(int status) noexcept
{
    switch (status) {
    case 401:
    case 403:
    case 407:
        return ErrorKind::kDenied;
    case 404:
    case 410:
        return ErrorKind::kNotFound;
    case 408:
    case 425:
    case 429:
        return ErrorKind::kTransient;
    case 416:
        return ErrorKind::kCorrupt; // the blob is not as long as its descriptor says
    case 405:
    case 501:
    case 505:
        return ErrorKind::kUnsupported;
    default:
        return status >= 500 ? ErrorKind::kTransient : ErrorKind::kInvalid;
    }
}

bool is_redirect(int status) noexcept
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Error status_error(int status, std::string_view body, std::string_view what)
{
    auto text = fmt::format("{}: {} {}", what, status, reason_of(status));
    if (const auto message = message_of(body); !message.empty()) {
        text += ": " + message;
    }
    return Error{kind_of_status(status), std::move(text)};
}

std::optional<milliseconds> parse_retry_after(std::string_view value, std::time_t now)
{
    value = trim(value);
    if (const auto seconds = parse_u64(value)) {
        return milliseconds{std::min(*seconds, kMaxSeconds) * 1000};
    }
    if (value.empty() || value.size() > 64) {
        return std::nullopt;
    }
    const auto when = curl_getdate(std::string{value}.c_str(), nullptr);
    if (when < 0) {
        return std::nullopt;
    }
    const auto wait = std::clamp<std::time_t>(when - now, 0, static_cast<std::time_t>(kMaxSeconds));
    return milliseconds{wait * 1000};
}

std::optional<milliseconds> retry_after(const HttpHeaders& headers)
{
    const auto* field = headers.find("retry-after");
    if (field == nullptr) {
        return std::nullopt;
    }
    // A date is meant by the server's clock, which need not agree with ours.
    const auto* date = headers.find("date");
    const auto now = date == nullptr ? std::time_t{-1} : curl_getdate(date->c_str(), nullptr);
    return parse_retry_after(*field, now >= 0 ? now : std::time(nullptr));
}

} // namespace sluice::fetcher
