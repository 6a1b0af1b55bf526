// SPDX-License-Identifier: Apache-2.0
#include "base/json.hpp"

#include "base/text.hpp"

#include <fmt/format.h>
#include <set>
#include <string>
#include <vector>

namespace sluice {

namespace {

constexpr std::size_t kMaxDepth = 32;

/// Looks at a document without building it, and ends the parsing at the first fault.
class StrictCheck final : public nlohmann::json_sax<Json> {
public:
    [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

    bool null() override { return true; }

    bool boolean(bool) override { return true; }

    bool number_integer(number_integer_t) override { return true; }

    bool number_unsigned(number_unsigned_t) override { return true; }

    bool number_float(number_float_t, const string_t&) override { return true; }

    bool string(string_t&) override { return true; }

    bool binary(binary_t&) override { return true; }

    bool start_object(std::size_t) override { return open(); }

    bool end_object() override { return close(); }

    bool start_array(std::size_t) override { return open(); }

    bool end_array() override { return close(); }

    bool key(string_t& name) override
    {
        if (!names_.back().insert(name).second) {
            fault_ = fmt::format("the member name \"{}\" stands twice in one object", printable(name));
            return false;
        }
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override
    {
        fault_ = fmt::format("not valid JSON at byte {}", position);
        return false;
    }

private:
    bool open()
    {
        if (names_.size() == kMaxDepth) {
            fault_ = fmt::format("nested deeper than {} levels", kMaxDepth);
            return false;
        }
        names_.emplace_back();
        return true;
    }

    bool close()
    {
        names_.pop_back();
        return true;
    }

    std::string fault_;
    std::vector<std::set<std::string>> names_; // of the members of what stands open; arrays have none
};

} // namespace

Result<Json> parse_json(std::string_view text, std::string_view what, std::size_t max_bytes)
{
    if (text.size() > max_bytes) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("{}: {} bytes of JSON, more than the {} allowed", what, text.size(), max_bytes)
        );
    }
    StrictCheck check;
    if (!Json::sax_parse(text.begin(), text.end(), &check)) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: {}", what, check.fault()));
    }
    return Json::parse(text.begin(), text.end(), nullptr, false);
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
