// SPDX-License-Identifier: Apache-2.0
#include "base/json.hpp"

#include <fmt/format.h>
#include <set>
#include <string>
#include <vector>

namespace sluice {

namespace {

constexpr int kMaxDepth = 32;

} // namespace

Result<Json> parse_json(std::string_view text, std::string_view what, std::size_t max_bytes)
{
    if (text.size() > max_bytes) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("{}: {} bytes of JSON, more than the {} allowed", what, text.size(), max_bytes)
        );
    }
    std::string fault;
    std::vector<std::set<std::string>> names; // of the objects that stand open
    const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
        if (depth > kMaxDepth) {
            fault = fmt::format("nested deeper than {} levels", kMaxDepth);
            return false;
        }
        if (event == Json::parse_event_t::object_start) {
            names.emplace_back();
        } else if (event == Json::parse_event_t::object_end && !names.empty()) {
            names.pop_back();
        } else if (event == Json::parse_event_t::key && !names.empty()) {
            if (!names.back().insert(parsed.get_ref<const std::string&>()).second) {
                fault = "a member name stands twice in one object";
            }
        }
        return true;
    };
    auto value = Json::parse(text.begin(), text.end(), watch, false);
    if (!fault.empty()) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: {}", what, fault));
    }
    if (value.is_discarded()) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not valid JSON", what));
    }
    return value;
}

const Json* json_member(const Json& object, const char* name)
{
    if (!object.is_object()) {
        return nullptr;
    }
    const auto it = object.find(name);
    return it == object.end() ? nullptr : &*it;
}

const std::string* json_string(const Json& object, const char* name)
{
    const auto* member = json_member(object, name);
    return member == nullptr ? nullptr : member->get_ptr<const std::string*>();
}

} // namespace sluice
