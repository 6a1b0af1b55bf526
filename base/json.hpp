// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sluice {

/// nlohmann's value. Only its non-throwing parts are used on foreign input: find(), is_*(), get_ptr().
using Json = nlohmann::json;

/// Parses foreign JSON: at most `max_bytes` long and 32 levels deep, UTF-8, no duplicate member names (two readers of
/// one document must never see two contents). `what` names the document in the error.
[[nodiscard]] Result<Json> parse_json(std::string_view text, std::string_view what, std::size_t max_bytes);

/// Members of an object, or nothing when they are missing or of another type. `object` may be any value.
[[nodiscard]] const std::string* json_string(const Json& object, const char* name);
[[nodiscard]] const Json* json_member(const Json& object, const char* name);

} // namespace sluice
