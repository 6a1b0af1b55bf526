// SPDX-License-Identifier: Apache-2.0
#include "tools/fs_context.hpp"

#include "base/text.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>

namespace sluice::tools {

namespace {

/// Everything that a mount can be told about itself: what set_mount_attributes() clears before it
/// sets.
constexpr std::uint64_t kAllAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                                         MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW;

} // namespace

Result<FsContext> FsContext::open(const std::string& fs_type)
{
    UniqueFd fd{kAdoptFd, ::fsopen(fs_type.c_str(), FSOPEN_CLOEXEC)};
    if (!fd) {
        const int code = errno;
        if (code == ENODEV) {
            return fail(ErrorKind::kUnsupported, fmt::format("this kernel has no {} file system", fs_type), code);
        }
        if (code == EPERM) {
            return fail(ErrorKind::kDenied, "mounting needs root (CAP_SYS_ADMIN)", code);
        }
        return fail_errno(code, "fsopen " + fs_type);
    }
    return FsContext{std::move(fd), fs_type};
}

Error FsContext::failure(int code, std::string_view doing)
{
    std::string text = fmt::format("{}: {}", fs_type_, doing);
    std::array<char, 1024> line{};
    // One message a read: "e <text>", "w <text>" or "i <text>"; ENODATA when there is none left.
    for (ssize_t n = 0; (n = ::read(fd_.get(), line.data(), line.size())) > 0;) {
        const auto message = trim(std::string_view{line.data(), static_cast<std::size_t>(n)});
        if (message.starts_with("e ") || message.starts_with("w ")) {
            text += fmt::format(": {}", printable(message.substr(2)));
        }
    }
    return Error::from_errno(code, text);
}

Result<void> FsContext::set_string(const std::string& key, const std::string& value)
{
    if (value.size() > kMaxFsStringLength) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "{}: the value of {} is {} bytes long, the kernel takes {}",
                fs_type_,
                key,
                value.size(),
                kMaxFsStringLength
            )
        );
    }
    if (::fsconfig(fd_.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) != 0) {
        return fail(failure(errno, fmt::format("option {}={}", key, printable(value))));
    }
    return {};
}

Result<void> FsContext::set_flag(const std::string& key)
{
    if (::fsconfig(fd_.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0) != 0) {
        return fail(failure(errno, "option " + key));
    }
    return {};
}

Result<void> FsContext::create()
{
    if (::fsconfig(fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        return fail(failure(errno, "mounting"));
    }
    return {};
}

Result<UniqueFd> FsContext::mount(std::uint64_t attributes)
{
    UniqueFd fd{kAdoptFd, ::fsmount(fd_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned int>(attributes))};
    if (!fd) {
        return fail(failure(errno, "fsmount"));
    }
    return fd;
}

Result<UniqueFd> clone_mount(const std::string& path)
{
    UniqueFd fd{kAdoptFd, ::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)};
    if (!fd) {
        return fail_errno(errno, "cloning the mount at " + path);
    }
    return fd;
}

Result<void> set_mount_attributes(const UniqueFd& mount, std::uint64_t attributes)
{
    mount_attr change{};
    change.attr_clr = kAllAttributes;
    change.attr_set = attributes;
    change.propagation = MS_PRIVATE;
    if (::mount_setattr(mount.get(), "", AT_EMPTY_PATH, &change, sizeof change) != 0) {
        return fail_errno(errno, "setting mount attributes");
    }
    return {};
}

Result<void> attach_mount(const UniqueFd& mount, const UniqueFd& directory, std::string_view name)
{
    constexpr unsigned int kFlags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    if (::move_mount(mount.get(), "", directory.get(), "", kFlags) != 0) {
        return fail_errno(errno, fmt::format("mounting at {}", name));
    }
    return {};
}

} // namespace sluice::tools
