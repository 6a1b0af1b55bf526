// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "fetcher/http_message.hpp"

#include <ctime>
#include <optional>
#include <string_view>

namespace sluice::fetcher {

namespace http_status {
inline constexpr int kOk = 200;
inline constexpr int kCreated = 201;
inline constexpr int kAccepted = 202;
inline constexpr int kNoContent = 204;
inline constexpr int kPartialContent = 206;
inline constexpr int kUnauthorized = 401;
inline constexpr int kForbidden = 403;
inline constexpr int kNotFound = 404;
} // namespace http_status

/// What a status of 300 and above means for whoever asked. Pure.
[[nodiscard]] ErrorKind kind_of_status(int status) noexcept;

[[nodiscard]] bool is_redirect(int status) noexcept;

/// "`what`: 404 Not Found: manifest unknown": the registry's own message is taken from `body` where
/// there is one.
[[nodiscard]] Error status_error(int status, std::string_view body, std::string_view what);

/// Seconds, or an HTTP date as seen from `now`. Nothing when it is neither. Pure.
[[nodiscard]] std::optional<milliseconds> parse_retry_after(std::string_view value, std::time_t now);

[[nodiscard]] std::optional<milliseconds> retry_after(const HttpHeaders& headers);

} // namespace sluice::fetcher
