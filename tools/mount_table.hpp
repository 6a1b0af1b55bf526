// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

/// Which super block a mount shows: the same number means the same file system instance.
struct DeviceNumber {
    std::uint32_t major = 0;
    std::uint32_t minor = 0;

    friend constexpr auto operator<=>(const DeviceNumber&, const DeviceNumber&) noexcept = default;
};

/// One line of /proc/PID/mountinfo. Paths are unescaped; options of the super block are not,
/// because an escaped comma must not part them (see overlay_lower_dirs).
struct MountEntry {
    std::uint64_t id = 0;
    std::uint64_t parent = 0;
    DeviceNumber device;
    std::string root; ///< which directory of the file system is the mount's root
    std::string mount_point;
    std::string options;                 ///< of this mount: "ro,nosuid"
    std::optional<std::uint64_t> shared; ///< the peer group that it hands mounts and unmounts on to
    std::optional<std::uint64_t> master; ///< the peer group that it gets mounts and unmounts from
    std::string fs_type;
    std::string source;
    std::string super_options;
};

using MountTable = std::vector<MountEntry>;

/// Parses the whole file; pure. An error names the line.
[[nodiscard]] Result<MountTable> parse_mountinfo(std::string_view text);

/// Reads and parses, by default this process's own table.
[[nodiscard]] Result<MountTable> read_mount_table(const std::string& path = "/proc/self/mountinfo");

/// The same from an open file; `name` is for texts.
[[nodiscard]] Result<MountTable> read_mount_table(const UniqueFd& file, std::string_view name);

/// "\040" and its like back to bytes; other backslashes stay.
[[nodiscard]] std::string unescape_octal(std::string_view text);

/// The lower directories of an overlay as they were given at mount time (they may be relative to
/// wherever that was); nothing for other file systems.
[[nodiscard]] std::vector<std::string> overlay_lower_dirs(const MountEntry& entry);

/// The mount that a path lookup of `mount_point` ends in: the last one stacked there; null when
/// nothing is mounted there.
[[nodiscard]] const MountEntry* find_top_mount(const MountTable& table, std::string_view mount_point);

/// The entry whose id is `id`, or null (a parent can lie outside the process's root).
[[nodiscard]] const MountEntry* find_mount(const MountTable& table, std::uint64_t id);

} // namespace sluice::tools
