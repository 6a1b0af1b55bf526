// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/reaper_schedule.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sluice::daemon {

namespace {

/// As the kernel prints paths in mount tables.
std::string escape(std::string_view path)
{
    constexpr std::string_view kEscaped = " \t\n\\";
    std::string out;
    for (const char c : path) {
        if (kEscaped.find(c) == std::string_view::npos) {
            out += c;
        } else {
            out += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

} // namespace

std::string lines_about_layers(std::string_view mountinfo, std::string_view layers_dir)
{
    const auto directory = escape(layers_dir) + "/";
    std::string about;
    bool any_layer = false;
    while (!mountinfo.empty()) {
        const auto end = std::min(mountinfo.find('\n'), mountinfo.size());
        const auto line = mountinfo.substr(0, end);
        mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
        const bool is_erofs = line.find(" - erofs ") != std::string_view::npos;
        const bool names_it = line.find(directory) != std::string_view::npos;
        any_layer = any_layer || (is_erofs && names_it);
        if (is_erofs || names_it) {
            about += line;
            about += '\n';
        }
    }
    return any_layer ? about : std::string{};
}

TimePoint ReaperSchedule::change(TimePoint now)
{
    first_change_ = first_change_.value_or(now);
    return std::min(now + pace_.settle, *first_change_ + pace_.longest);
}

ReaperSchedule::Verdict ReaperSchedule::decide(TimePoint now, std::string_view mountinfo)
{
    first_change_.reset();
    auto about = lines_about_layers(mountinfo, layers_dir_);
    if (about.empty()) {
        seen_.clear();
        return {};
    }
    if (last_look_ && about == seen_ && now < *last_look_ + pace_.rarely) {
        return {false, *last_look_ + pace_.rarely};
    }
    seen_ = std::move(about);
    last_look_ = now;
    return {true, std::nullopt};
}

} // namespace sluice::daemon
