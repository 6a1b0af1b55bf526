// SPDX-License-Identifier: Apache-2.0
#include "tools/mount_place.hpp"

#include "tools/fs_context.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sched.h>
#include <sys/mount.h>
#include <thread>

namespace sluice::tools {

namespace {

Result<UniqueFd> open_path(const std::string& path, int flags)
{
    UniqueFd fd{kAdoptFd, ::open(path.c_str(), flags | O_CLOEXEC)};
    if (!fd) {
        return fail_errno(errno, path);
    }
    return fd;
}

} // namespace

Result<MountPlace> MountPlace::open(std::string dir, const std::string& mount_namespace)
{
    if (mount_namespace.empty()) {
        return MountPlace{std::move(dir)};
    }
    if (!dir.starts_with('/')) {
        return fail(ErrorKind::kInvalid, dir + ": a directory in another mount namespace must be an absolute path");
    }
    auto mounts = open_path(mount_namespace, O_RDONLY);
    if (!mounts) {
        return fail(mounts.error(), "mount namespace");
    }
    auto proc = open_path("/proc", O_PATH | O_DIRECTORY);
    if (!proc) {
        return fail(proc.error());
    }
    MountPlace place{
        std::move(dir), std::make_shared<const Namespace>(Namespace{std::move(*mounts), std::move(*proc)})};
    const auto entered = place.inside([] { return Result<void>{}; });
    if (!entered) {
        return fail(entered.error(), mount_namespace);
    }
    return place;
}

/// In another namespace: in a thread, because a mount namespace is a thread's own, and ours must not change.
Result<void> MountPlace::inside(const std::function<Result<void>()>& work) const
{
    if (namespace_ == nullptr) {
        return work();
    }
    Result<void> outcome;
    std::thread{[&] {
        // The kernel changes root and working directory too, and wants nobody else to have them.
        if (::unshare(CLONE_FS) != 0 || ::setns(namespace_->mounts.get(), CLONE_NEWNS) != 0) {
            outcome = fail_errno(errno, "cannot enter the mount namespace");
            return;
        }
        outcome = work();
    }}.join();
    return outcome;
}

Result<MountTable> MountPlace::read_table() const
{
    if (namespace_ == nullptr) {
        return read_mount_table();
    }
    constexpr const char* kTable = "thread-self/mountinfo";
    const UniqueFd file{kAdoptFd, ::openat(namespace_->proc.get(), kTable, O_RDONLY | O_CLOEXEC)};
    if (!file) {
        return fail_errno(errno, kTable);
    }
    return read_mount_table(file, kTable);
}

Result<void> MountPlace::check() const
{
    return inside([&]() -> Result<void> {
        const auto directory = open_path(dir_, O_PATH | O_DIRECTORY);
        return directory ? Result<void>{} : fail(directory.error());
    });
}

Result<std::optional<MountEntry>> MountPlace::top_mount() const
{
    std::optional<MountEntry> found;
    const auto looked = inside([&]() -> Result<void> {
        const auto table = read_table();
        if (!table) {
            return fail(table.error());
        }
        const auto* entry = find_top_mount(*table, dir_);
        if (entry == nullptr) { // the table has it where its symbolic links lead
            std::error_code error;
            const auto path = std::filesystem::canonical(dir_, error);
            if (error) {
                return fail_errno(error.value(), dir_);
            }
            entry = find_top_mount(*table, path.string());
        }
        if (entry != nullptr) {
            found = *entry;
        }
        return {};
    });
    if (!looked) {
        return fail(looked.error());
    }
    return found;
}

Result<void> MountPlace::attach(const UniqueFd& mount) const
{
    return inside([&]() -> Result<void> {
        const auto directory = open_path(dir_, O_PATH | O_DIRECTORY);
        if (!directory) {
            return fail(directory.error());
        }
        return attach_mount(mount, *directory, dir_);
    });
}

Result<void> MountPlace::unmount(const MountEntry& mount, int flags) const
{
    return inside([&]() -> Result<void> {
        if (::umount2(mount.mount_point.c_str(), flags | UMOUNT_NOFOLLOW) != 0) {
            return fail_errno(errno, "unmounting " + mount.mount_point);
        }
        return {};
    });
}

} // namespace sluice::tools
