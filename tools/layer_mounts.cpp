// SPDX-License-Identifier: Apache-2.0
#include "tools/layer_mounts.hpp"

#include "tools/fs_context.hpp"
#include "tools/layer_usage.hpp"
#include "tools/mount_namespaces.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace sluice::tools {

namespace {

constexpr mode_t kPrivate = 0700;

Result<UniqueFd> open_directory(const std::string& path)
{
    UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd) {
        return fail_errno(errno, path);
    }
    return fd;
}

Result<void> lock_file(const UniqueFd& fd, int operation, const std::string& path)
{
    while (::flock(fd.get(), operation) != 0) {
        if (errno != EINTR) {
            return fail_errno(errno, "locking " + path);
        }
    }
    return {};
}

enum class State { kAbsent, kCurrent, kDead };

/// Is the layer there? Somebody else's file system in its place is an error.
Result<State> look(const std::string& path, const LayerSpec& layer, const LayerMounter& mounter)
{
    const auto table = read_mount_table();
    if (!table) {
        return fail(table.error());
    }
    const MountEntry* top = find_top_mount(*table, path);
    if (top == nullptr) {
        return State::kAbsent;
    }
    if (top->fs_type != "erofs") {
        return fail(ErrorKind::kInvalid, fmt::format("{}: a {} is mounted where a layer belongs", path, top->fs_type));
    }
    return mounter.is_current(layer, *top) ? State::kCurrent : State::kDead;
}

/// What waits until the layer is ours to change. The directory is the layer's lock. Who opens it before the mount
/// waits for the one who mounts; who opens it after gets the layer's own root, locks that to no effect, and finds the
/// mount. A dead mount's root serves those who want to replace it in the same way.
Result<UniqueFd> lock_layer(const std::string& path)
{
    auto directory = open_directory(path);
    if (!directory) {
        return directory;
    }
    if (auto locked = lock_file(*directory, LOCK_EX, path); !locked) {
        return fail(locked.error());
    }
    return directory;
}

void release(const LayerUse& layer, const std::string& path, const MountTable& own, ReleaseReport& report)
{
    const MountEntry* top = find_top_mount(own, path);
    if (layer.used || top == nullptr || top->device != layer.device) {
        report.in_use.push_back(layer.name);
        return;
    }
    if (::umount2(path.c_str(), UMOUNT_NOFOLLOW) == 0) {
        report.released.push_back(layer.name);
    } else if (errno == EBUSY) { // somebody has a file of it open by its path here
        report.in_use.push_back(layer.name);
    } else {
        report.failed.push_back(Error::from_errno(errno, layer.name).text());
    }
}

/// Takes away the mount points that no longer carry anything, whoever left them; the kernel keeps
/// those that do.
void remove_empty_directories(const std::string& dir)
{
    std::error_code ignored;
    std::vector<std::string> directories;
    for (std::filesystem::directory_iterator it{dir, ignored}; it != std::filesystem::directory_iterator{};
         it.increment(ignored)) {
        auto name = it->path().filename().string();
        if (is_mount_name(name)) {
            directories.push_back(std::move(name));
        }
    }
    for (const auto& name : directories) {
        (void)::rmdir(fmt::format("{}/{}", dir, name).c_str());
    }
}

} // namespace

Result<LayerMounts> LayerMounts::open(const std::string& dir)
{
    std::error_code error;
    auto canonical = std::filesystem::weakly_canonical(dir, error);
    if (error) {
        return fail_errno(error.value(), "layers directory " + dir);
    }
    return LayerMounts{canonical.string()};
}

Result<void> LayerMounts::make_directory() const
{
    std::error_code ignored; // mkdir tells
    std::filesystem::create_directories(std::filesystem::path{dir_}.parent_path(), ignored);
    if (::mkdir(dir_.c_str(), kPrivate) != 0 && errno != EEXIST) {
        return fail_errno(errno, "layers directory " + dir_);
    }
    return {};
}

Result<UniqueFd> LayerMounts::lock(int operation) const
{
    const std::string path = dir_ + "/.lock";
    UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!fd) {
        return fail_errno(errno, path);
    }
    if (auto locked = lock_file(fd, operation, path); !locked) {
        return fail(locked.error());
    }
    return fd;
}

Result<LayerMounts::Hold> LayerMounts::hold() const
{
    if (auto made = make_directory(); !made) {
        return fail(made.error());
    }
    auto fd = lock(LOCK_SH);
    if (!fd) {
        return fail(std::move(fd).error());
    }
    return Hold{std::move(*fd)};
}

Result<std::string> LayerMounts::ensure(const Hold&, const LayerSpec& layer, LayerMounter& mounter) const
{
    std::string path = fmt::format("{}/{}", dir_, layer.mount_name);
    for (;;) {
        const auto before = look(path, layer, mounter);
        if (!before) {
            return fail(before.error());
        }
        if (*before == State::kCurrent) {
            return path;
        }
        if (*before == State::kAbsent && ::mkdir(path.c_str(), kPrivate) != 0 && errno != EEXIST) {
            return fail_errno(errno, path);
        }
        const auto directory = lock_layer(path);
        if (!directory) {
            return fail(directory.error());
        }
        const auto now = look(path, layer, mounter);
        if (!now) {
            return fail(now.error());
        }
        if (*now != *before) {
            continue; // somebody else was faster
        }
        if (*now == State::kDead) {
            if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
                return fail_errno(errno, "detaching what is left of " + path);
            }
            continue;
        }
        auto mount = mounter.mount(layer);
        if (!mount) {
            return fail(mount.error(), fmt::format("layer {}", layer.digest));
        }
        if (auto attached = attach_mount(*mount, *directory, path); !attached) {
            return fail(attached.error());
        }
        return path;
    }
}

Result<ReleaseReport> LayerMounts::release_unused() const
{
    auto exclusive = lock(LOCK_EX);
    if (!exclusive && exclusive.error().code() == ENOENT) {
        return ReleaseReport{}; // no directory, no layers
    }
    if (!exclusive) {
        return fail(std::move(exclusive).error());
    }
    auto tables = read_all_mount_tables();
    if (!tables) {
        return fail(std::move(tables).error());
    }
    ReleaseReport report;
    for (const auto& layer : find_layers(dir_, *tables)) {
        release(layer, fmt::format("{}/{}", dir_, layer.name), tables->front(), report);
    }
    remove_empty_directories(dir_);
    return report;
}

} // namespace sluice::tools
