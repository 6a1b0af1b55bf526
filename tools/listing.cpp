// SPDX-License-Identifier: Apache-2.0
#include "tools/listing.hpp"

#include "base/text.hpp"
#include "tools/blob_watch.hpp"
#include "tools/control_api.hpp"
#include "tools/text_table.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace sluice::tools {

namespace {

constexpr std::size_t kShortDigits = 12;
constexpr std::string_view kSeconds = "_seconds";

std::string text_or_dash(const Json& object, const char* name)
{
    const auto* text = json_string(object, name);
    return text == nullptr || text->empty() ? std::string{"-"} : printable(*text);
}

/// "sha256:2c26b46b68ff": enough to tell one from another; --json has them whole.
std::string short_digest(std::string digest)
{
    const auto colon = digest.find(':');
    const auto keep = colon == std::string::npos ? kShortDigits : colon + 1 + kShortDigits;
    if (digest.size() > keep) {
        digest.resize(keep);
    }
    return digest;
}

std::string size_or_dash(const Json& object, const char* name)
{
    const auto size = json_u64(object, name);
    return size ? format_size(*size) : "-";
}

std::string percent_or_dash(const Json& object)
{
    const Json* percent = json_member(object, "percent");
    return percent == nullptr || !percent->is_number() ? std::string{"-"}
                                                       : fmt::format("{:.1f}%", percent->get<double>());
}

bool is_true(const Json& object, const char* name)
{
    const Json* member = json_member(object, name);
    return member != nullptr && member->is_boolean() && member->get<bool>();
}

std::string signer(const Json& image)
{
    const Json* signed_by = json_member(image, "signed_by");
    if (signed_by == nullptr || !signed_by->is_object()) {
        return text_or_dash(image, "signed_by");
    }
    const auto name = text_or_dash(*signed_by, "name");
    return name == "-" ? short_digest(text_or_dash(*signed_by, "id")) : name;
}

/// The limits of free space: brun, bcull, bstop, and the same for files.
bool is_per_cent(std::string_view name)
{
    return (name.starts_with('b') || name.starts_with('f')) &&
           (name.substr(1) == "run" || name.substr(1) == "cull" || name.substr(1) == "stop");
}

std::string plain_value(std::string_view name, const Json& value)
{
    if (const auto* text = value.get_ptr<const std::string*>()) {
        return printable(*text, 1000);
    }
    if (value.is_number_unsigned() && (name.ends_with("bytes") || name.find("bytes_") != std::string_view::npos)) {
        return format_size(value.get<std::uint64_t>());
    }
    if (value.is_number_unsigned() && name.ends_with(kSeconds)) {
        const std::chrono::seconds all{value.get<std::uint64_t>()};
        const auto hours = std::chrono::duration_cast<std::chrono::hours>(all);
        const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(all - hours);
        return fmt::format("{}:{:02}:{:02}", hours.count(), minutes.count(), (all - hours - minutes).count());
    }
    if (value.is_number_unsigned() && is_per_cent(name)) {
        return value.dump() + " %";
    }
    if (value.is_boolean()) {
        return value.get<bool>() ? "yes" : "no";
    }
    return value.is_null() ? "-" : value.dump();
}

std::string human_name(std::string_view name)
{
    if (name.ends_with(kSeconds)) { // shown as hours, minutes and seconds
        name.remove_suffix(kSeconds.size());
    }
    std::string text = printable(name);
    std::replace(text.begin(), text.end(), '_', ' ');
    return text;
}

void append_value(std::string& out, const std::string& name, const Json& value, std::size_t indent);

void append_members(std::string& out, const Json& object, std::size_t indent)
{
    for (const auto& [name, value] : object.items()) {
        append_value(out, name, value, indent);
    }
}

void append_value(std::string& out, const std::string& name, const Json& value, std::size_t indent)
{
    const std::string margin(indent, ' ');
    if (value.is_object()) {
        out += fmt::format("{}{}:\n", margin, human_name(name));
        append_members(out, value, indent + 2);
    } else if (value.is_array()) {
        out += fmt::format("{}{}:{}\n", margin, human_name(name), value.empty() ? " -" : "");
        for (const auto& element : value) {
            // An object's members in one line: a trusted key's name and number belong together.
            std::string line;
            if (element.is_object()) {
                for (const auto& [key, member] : element.items()) {
                    line += fmt::format("{}{} {}", line.empty() ? "" : ", ", human_name(key), plain_value(key, member));
                }
            } else {
                line = plain_value(name, element);
            }
            out += fmt::format("{}  {}\n", margin, line);
        }
    } else {
        out += fmt::format("{}{}: {}\n", margin, human_name(name), plain_value(name, value));
    }
}

} // namespace

std::string format_images(const Json& answer)
{
    using Align = TextTable::Align;
    TextTable table{{{"REFERENCE"}, {"MANIFEST"}, {"LAYERS", Align::kRight}, {"SIZE", Align::kRight}, {"SIGNED BY"}}};
    for (const auto& image : json_rows(answer, "images")) {
        std::uint64_t size = 0;
        const Json& layers = json_rows(image, "layers");
        for (const auto& layer : layers) {
            size += json_u64(layer, "erofs_size").value_or(0);
        }
        table.add(
            {text_or_dash(image, "reference"),
             short_digest(text_or_dash(image, "manifest_digest")),
             std::to_string(layers.size()),
             format_size(size),
             signer(image)}
        );
    }
    return table.render();
}

std::string format_blobs(const Json& answer)
{
    using Align = TextTable::Align;
    TextTable table{
        {{"BLOB"},
         {"SIZE", Align::kRight},
         {"PRESENT", Align::kRight},
         {"%", Align::kRight},
         {"STATE"},
         {"LAST ERROR"}}};
    for (const auto& blob : json_rows(answer, "blobs")) {
        const std::string_view state = is_true(blob, "open") ? "open" : "closed";
        const std::string_view extra = is_true(blob, "complete") ? ", complete" : "";
        table.add(
            {short_digest(text_or_dash(blob, "digest")),
             size_or_dash(blob, "erofs_size"),
             size_or_dash(blob, "present"),
             percent_or_dash(blob),
             fmt::format("{}{}", state, extra),
             last_error_of(blob)}
        );
    }
    return table.render();
}

std::string format_status(const Json& answer)
{
    std::string out;
    if (answer.is_object()) {
        append_members(out, answer, 0);
    }
    return out;
}

} // namespace sluice::tools
