// SPDX-License-Identifier: Apache-2.0
#include "fetcher/http_message.hpp"

#include "base/text.hpp"

namespace sluice::fetcher {

void HttpHeaders::add_line(std::string_view line)
{
    if (line.starts_with("HTTP/")) {
        fields_.clear();
        return;
    }
    const auto colon = line.find(':');
    if (colon != std::string_view::npos) {
        add(std::string{line.substr(0, colon)}, std::string{trim(line.substr(colon + 1))});
    }
}

void HttpHeaders::add(std::string name, std::string value)
{
    fields_.emplace_back(std::move(name), std::move(value));
}

const std::string* HttpHeaders::find(std::string_view name) const noexcept
{
    for (const auto& [field, value] : fields_) {
        if (equals_ignoring_case(field, name)) {
            return &value;
        }
    }
    return nullptr;
}

std::vector<std::string> HttpHeaders::all(std::string_view name) const
{
    std::vector<std::string> values;
    for (const auto& [field, value] : fields_) {
        if (equals_ignoring_case(field, name)) {
            values.push_back(value);
        }
    }
    return values;
}

} // namespace sluice::fetcher
