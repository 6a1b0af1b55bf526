// SPDX-License-Identifier: Apache-2.0
#include "tools/mount_options.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <sys/mount.h>

namespace sluice::tools {

namespace {

struct AttributeOption {
    std::string_view name;
    std::uint64_t clear;
    std::uint64_t set;
};

constexpr std::uint64_t kSecure = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
constexpr std::uint64_t kOwner = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
/// An image is a download: what in it gives rights on this machine is asked for by name ("suid", "dev").
constexpr std::uint64_t kDefault = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

constexpr std::array kAttributeOptions{
    AttributeOption{"defaults", kSecure, kDefault},
    AttributeOption{"ro", 0, 0},
    AttributeOption{"suid", MOUNT_ATTR_NOSUID, 0},
    AttributeOption{"nosuid", 0, MOUNT_ATTR_NOSUID},
    AttributeOption{"dev", MOUNT_ATTR_NODEV, 0},
    AttributeOption{"nodev", 0, MOUNT_ATTR_NODEV},
    AttributeOption{"exec", MOUNT_ATTR_NOEXEC, 0},
    AttributeOption{"noexec", 0, MOUNT_ATTR_NOEXEC},
    AttributeOption{"symfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    AttributeOption{"nosymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    AttributeOption{"atime", MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME},
    AttributeOption{"relatime", MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME},
    AttributeOption{"noatime", MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME},
    AttributeOption{"strictatime", MOUNT_ATTR__ATIME, MOUNT_ATTR_STRICTATIME},
    AttributeOption{"diratime", MOUNT_ATTR_NODIRATIME, 0},
    AttributeOption{"nodiratime", 0, MOUNT_ATTR_NODIRATIME},
    // Who lets users mount wants what they mount to be harmless, as mount(8) does it.
    AttributeOption{"user", 0, kSecure},
    AttributeOption{"users", 0, kSecure},
    AttributeOption{"owner", 0, kOwner},
    AttributeOption{"group", 0, kOwner},
};

/// For mount(8), systemd and the like, or without a meaning where nothing is ever written.
constexpr std::array<std::string_view, 15> kIgnored{
    "auto",
    "noauto",
    "nouser",
    "nousers",
    "noowner",
    "nogroup",
    "_netdev",
    "nofail",
    "async",
    "sync",
    "silent",
    "loud",
    "norelatime",
    "nolazytime",
    "nostrictatime",
};

constexpr std::array<std::string_view, 6> kIgnoredPrefixes{"x-", "X-", "comment=", "user=", "uhelper=", "helper="};

bool is_ignored(std::string_view option) noexcept
{
    return std::find(kIgnored.begin(), kIgnored.end(), option) != kIgnored.end() ||
           std::any_of(kIgnoredPrefixes.begin(), kIgnoredPrefixes.end(), [&](std::string_view prefix) {
               return option.starts_with(prefix);
           });
}

struct PathOption {
    std::string_view name; ///< with the equals sign
    std::string MountOptions::*path;
};

constexpr std::array kPathOptions{
    PathOption{"socket=", &MountOptions::socket},
    PathOption{"layers-dir=", &MountOptions::layers_dir},
};

Result<void> apply(MountOptions& options, std::string_view option, OptionOrigin origin)
{
    const auto known = std::find_if(kAttributeOptions.begin(), kAttributeOptions.end(), [&](const auto& candidate) {
        return candidate.name == option;
    });
    if (known != kAttributeOptions.end()) {
        options.attributes = (options.attributes & ~known->clear) | known->set;
        return {};
    }
    if (option == "lazy-only") {
        options.lazy_only = true;
        return {};
    }
    if (option == "refresh") {
        options.refresh = true;
        return {};
    }
    if (option == "loop-devices") { // "loop" would be taken by mount(8), which sets up its own
        options.loop_devices = true;
        return {};
    }
    for (const auto& [name, path] : kPathOptions) {
        if (!option.starts_with(name)) {
            continue;
        }
        options.*path = option.substr(name.size());
        if ((options.*path).empty()) {
            return fail(ErrorKind::kInvalid, fmt::format("mount option {} lacks its path", name));
        }
        return {};
    }
    if (is_ignored(option)) {
        return {};
    }
    if (option == "rw") {
        if (origin != OptionOrigin::kOperator) {
            return {};
        }
        return fail(ErrorKind::kInvalid, "images are read-only: option rw is not possible (put an overlay on top)");
    }
    if (origin == OptionOrigin::kSloppyMount) {
        return {};
    }
    return fail(ErrorKind::kInvalid, fmt::format("unknown mount option '{}'", printable(option)));
}

} // namespace

Result<MountOptions> parse_mount_options(std::string_view text, OptionOrigin origin)
{
    MountOptions options;
    options.attributes = MOUNT_ATTR_RDONLY | kDefault;
    for (const auto part : split(text, ',')) {
        const auto option = trim(part);
        if (option.empty()) {
            continue;
        }
        if (auto applied = apply(options, option, origin); !applied) {
            return fail(applied.error());
        }
    }
    return options;
}

unsigned long mount_flags(std::uint64_t attributes) noexcept
{
    unsigned long flags = 0;
    const auto add = [&](std::uint64_t attribute, unsigned long flag) {
        if ((attributes & attribute) != 0) {
            flags |= flag;
        }
    };
    add(MOUNT_ATTR_RDONLY, MS_RDONLY);
    add(MOUNT_ATTR_NOSUID, MS_NOSUID);
    add(MOUNT_ATTR_NODEV, MS_NODEV);
    add(MOUNT_ATTR_NOEXEC, MS_NOEXEC);
    add(MOUNT_ATTR_NODIRATIME, MS_NODIRATIME);
    add(MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW);
    const std::uint64_t atime = attributes & MOUNT_ATTR__ATIME;
    if (atime == MOUNT_ATTR_NOATIME) {
        flags |= MS_NOATIME;
    } else if (atime == MOUNT_ATTR_STRICTATIME) {
        flags |= MS_STRICTATIME;
    } else {
        flags |= MS_RELATIME;
    }
    return flags;
}

} // namespace sluice::tools
