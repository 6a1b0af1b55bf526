// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace sluice::tools {

/// The longest answer that is read: that of a node with very many blobs.
inline constexpr std::size_t kMaxControlAnswer = 64 * 1024 * 1024;

inline constexpr std::string_view kDefaultSocket = "/run/sluice/control.sock";

/// The daemon, as its control API shows it (docs/control-api.md). Calls block.
class ControlApi {
public:
    using OnBlobs = std::function<void(const Json&)>;

    ControlApi() = default;
    ControlApi(const ControlApi&) = delete;
    ControlApi& operator=(const ControlApi&) = delete;
    virtual ~ControlApi() = default;

    /// One request; `body` null: none is sent. The daemon's own error texts come back as they are.
    /// While the answer is awaited, `on_blobs` (where given) is called about twice a second: with what GET /v1/blobs
    /// says, and with null while that is not known.
    [[nodiscard]] virtual Result<Json>
    call(const std::string& method, const std::string& path, const Json& body = {}, const OnBlobs& on_blobs = {}) = 0;
};

/// The daemon's answer: the document of a 2xx, otherwise its {"error":{"kind","message"}} as an
/// Error. Pure.
[[nodiscard]] Result<Json> parse_control_answer(int status, std::string_view body);

/// For a value inside a query: everything but letters, digits and "-._~" becomes %XX. Pure.
[[nodiscard]] std::string percent_encode(std::string_view text);

/// The elements of `answer[member]`, or of `answer` itself when it is an array; an empty array
/// otherwise.
[[nodiscard]] const Json& json_rows(const Json& answer, const char* member);

} // namespace sluice::tools
