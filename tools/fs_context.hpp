// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::tools {

/// One new file system instance in the making: fsopen(2), fsconfig(2), fsmount(2). What the kernel
/// logs about it becomes part of the error texts. Not thread-safe; create() can sleep for as long
/// as the file system needs, and not even SIGKILL ends it.
class FsContext {
public:
    [[nodiscard]] static Result<FsContext> open(const std::string& fs_type);

    /// The kernel takes at most 255 bytes; a longer value is an error here (kInvalid), never cut.
    [[nodiscard]] Result<void> set_string(const std::string& key, const std::string& value);
    [[nodiscard]] Result<void> set_flag(const std::string& key);

    /// Makes the super block.
    [[nodiscard]] Result<void> create();

    /// A mount of it that is nowhere in the tree yet; closing the descriptor undoes it.
    /// `attributes`: MOUNT_ATTR_*.
    [[nodiscard]] Result<UniqueFd> mount(std::uint64_t attributes);

private:
    FsContext(UniqueFd fd, std::string fs_type) : fd_{std::move(fd)}, fs_type_{std::move(fs_type)} {}

    /// The error of the call that just failed: errno and what the kernel wrote into the context's
    /// log.
    [[nodiscard]] Error failure(int code, std::string_view doing);

    UniqueFd fd_;
    std::string fs_type_;
};

/// fsconfig's limit for strings, without the final NUL.
inline constexpr std::size_t kMaxFsStringLength = 255;

/// A detached mount of what is visible at `path`, alone, without what is mounted below it.
[[nodiscard]] Result<UniqueFd> clone_mount(const std::string& path);

/// Makes the attributes of a detached mount exactly these (MOUNT_ATTR_*), and takes it out of the
/// peer group of the mount it was cloned from, so that nothing mounted inside one shows up in the
/// other.
[[nodiscard]] Result<void> set_mount_attributes(const UniqueFd& mount, std::uint64_t attributes);

/// Puts a detached mount into the tree, onto an open directory, which `name` names in texts.
[[nodiscard]] Result<void> attach_mount(const UniqueFd& mount, const UniqueFd& directory, std::string_view name);

} // namespace sluice::tools
