// SPDX-License-Identifier: Apache-2.0
#include "tools/control_api.hpp"

#include "base/text.hpp"

#include <array>
#include <fmt/format.h>

namespace sluice::tools {

namespace {

constexpr std::array kErrorKinds{
    ErrorKind::kNotFound,
    ErrorKind::kDenied,
    ErrorKind::kTransient,
    ErrorKind::kCorrupt,
    ErrorKind::kNoSpace,
    ErrorKind::kCancelled,
    ErrorKind::kInvalid,
    ErrorKind::kTimeout,
    ErrorKind::kUnsupported,
    ErrorKind::kInternal,
};

ErrorKind kind_from(const std::string* name) noexcept
{
    for (const auto kind : kErrorKinds) {
        if (name != nullptr && to_string(kind) == *name) {
            return kind;
        }
    }
    return ErrorKind::kInternal;
}

} // namespace

Result<Json> parse_control_answer(int status, std::string_view body)
{
    constexpr int kOk = 200;
    constexpr int kRedirect = 300;
    const bool good = status >= kOk && status < kRedirect;
    if (good && trim(body).empty()) {
        return Json::object();
    }
    auto document = parse_json(body, "sluiced's answer", kMaxControlAnswer);
    if (good) {
        return document;
    }
    if (document) {
        if (const Json* error = json_member(*document, "error")) {
            if (const auto* message = json_string(*error, "message")) {
                return fail(kind_from(json_string(*error, "kind")), *message);
            }
        }
    }
    return fail(
        ErrorKind::kInternal, fmt::format("sluiced answered with status {}: {}", status, printable(trim(body)))
    );
}

std::string percent_encode(std::string_view text)
{
    constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    std::string out;
    for (const char c : text) {
        if (kPlain.find(c) != std::string_view::npos) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

const Json& json_rows(const Json& answer, const char* member)
{
    static const Json kNone = Json::array();
    if (answer.is_array()) {
        return answer;
    }
    const Json* rows = json_member(answer, member);
    return rows != nullptr && rows->is_array() ? *rows : kNone;
}

} // namespace sluice::tools
