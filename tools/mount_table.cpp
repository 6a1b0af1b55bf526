// SPDX-License-Identifier: Apache-2.0
#include "tools/mount_table.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits>
#include <span>
#include <unistd.h>

namespace sluice::tools {

namespace {

constexpr bool is_octal(char c) noexcept
{
    return c >= '0' && c <= '7';
}

std::optional<std::uint32_t> parse_u32(std::string_view text) noexcept
{
    const auto value = parse_u64(text);
    if (!value || *value > std::numeric_limits<std::uint32_t>::max()) {
        return std::nullopt;
    }
    return static_cast<std::uint32_t>(*value);
}

std::optional<DeviceNumber> parse_device(std::string_view text) noexcept
{
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
        return std::nullopt;
    }
    const auto major = parse_u32(text.substr(0, colon));
    const auto minor = parse_u32(text.substr(colon + 1));
    if (!major || !minor) {
        return std::nullopt;
    }
    return DeviceNumber{*major, *minor};
}

/// "shared:12", "master:3"; unknown fields are for later kernels to add and for us to skip.
bool take_optional_field(MountEntry& entry, std::string_view field) noexcept
{
    for (const auto& [name, slot] :
         {std::pair{std::string_view{"shared:"}, &entry.shared},
          std::pair{std::string_view{"master:"}, &entry.master}}) {
        if (field.starts_with(name)) {
            *slot = parse_u64(field.substr(name.size()));
            return slot->has_value();
        }
    }
    return true;
}

// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
std::optional<MountEntry> parse_line(std::string_view line)
{
    constexpr std::size_t kFixed = 6; // fields before the optional ones
    const auto fields = split(line, ' ');
    if (fields.size() < kFixed) {
        return std::nullopt;
    }
    const auto id = parse_u64(fields[0]);
    const auto parent = parse_u64(fields[1]);
    const auto device = parse_device(fields[2]);
    if (!id || !parent || !device || fields[3].empty() || fields[4].empty()) {
        return std::nullopt;
    }
    MountEntry entry;
    entry.id = *id;
    entry.parent = *parent;
    entry.device = *device;
    entry.root = unescape_octal(fields[3]);
    entry.mount_point = unescape_octal(fields[4]);
    entry.options = fields[5];

    std::size_t at = kFixed;
    for (; at < fields.size() && fields[at] != "-"; ++at) {
        if (!take_optional_field(entry, fields[at])) {
            return std::nullopt;
        }
    }
    if (fields.size() < at + 3) { // the dash, the type, the source; some file systems show no options at all
        return std::nullopt;
    }
    entry.fs_type = unescape_octal(fields[at + 1]);
    entry.source = unescape_octal(fields[at + 2]);
    if (fields.size() > at + 3) {
        entry.super_options = fields[at + 3];
    }
    return entry;
}

/// Parts overlayfs's "a:b\:c::d" and takes its own backslashes away.
void append_lower_list(std::vector<std::string>& out, std::string_view list)
{
    std::string piece;
    const auto flush = [&] {
        if (!piece.empty()) {
            out.push_back(std::move(piece));
            piece.clear();
        }
    };
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i] == '\\' && i + 1 < list.size()) {
            piece += list[++i];
        } else if (list[i] == ':') {
            flush();
        } else {
            piece += list[i];
        }
    }
    flush();
}

} // namespace

std::string unescape_octal(std::string_view text)
{
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] <= '3' && is_octal(text[i + 1]) &&
            is_octal(text[i + 2]) && is_octal(text[i + 3])) {
            const int byte = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
            out += static_cast<char>(byte);
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

Result<MountTable> parse_mountinfo(std::string_view text)
{
    MountTable table;
    std::size_t number = 0;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        ++number;
        if (line.empty()) {
            continue;
        }
        auto entry = parse_line(line);
        if (!entry) {
            return fail(
                ErrorKind::kInvalid, fmt::format("mount table, line {}: cannot read '{}'", number, printable(line))
            );
        }
        table.push_back(std::move(*entry));
    }
    return table;
}

Result<MountTable> read_mount_table(const std::string& path)
{
    const UniqueFd file{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file) {
        return fail_errno(errno, path);
    }
    return read_mount_table(file, path);
}

Result<MountTable> read_mount_table(const UniqueFd& file, std::string_view name)
{
    std::string text;
    std::vector<char> piece(64 * 1024);
    for (;;) {
        const auto count = ::read(file.get(), piece.data(), piece.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, name);
        }
        if (count == 0) {
            break;
        }
        text.append(piece.data(), static_cast<std::size_t>(count));
    }
    auto table = parse_mountinfo(text);
    if (!table) {
        return fail(table.error(), name);
    }
    return table;
}

std::vector<std::string> overlay_lower_dirs(const MountEntry& entry)
{
    std::vector<std::string> dirs;
    if (entry.fs_type != "overlay") {
        return dirs;
    }
    constexpr std::string_view kList = "lowerdir=";
    constexpr std::string_view kAppended = "lowerdir+="; // one directory, nothing escaped by overlayfs itself
    for (const auto option : split(entry.super_options, ',')) {
        if (option.starts_with(kAppended) && option.size() > kAppended.size()) {
            dirs.push_back(unescape_octal(option.substr(kAppended.size())));
        } else if (option.starts_with(kList)) {
            append_lower_list(dirs, unescape_octal(option.substr(kList.size())));
        }
    }
    return dirs;
}

const MountEntry* find_mount(const MountTable& table, std::uint64_t id)
{
    const auto found = std::find_if(table.begin(), table.end(), [&](const MountEntry& e) { return e.id == id; });
    return found == table.end() ? nullptr : &*found;
}

const MountEntry* find_top_mount(const MountTable& table, std::string_view mount_point)
{
    // The table follows the tree's order: what is stacked on a mount comes after it.
    const MountEntry* top = nullptr;
    for (const auto& entry : table) {
        if (entry.mount_point == mount_point) {
            top = &entry;
        }
    }
    return top;
}

} // namespace sluice::tools
