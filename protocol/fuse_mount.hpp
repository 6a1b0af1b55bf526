// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <filesystem>
#include <string_view>
#include <utility>

namespace sluice::protocol {

/// A FUSE file system of this process, in the tree: a directory of its own below a base directory, with a name that no
/// predecessor had. So a path through it says which daemon's file system was meant, and what was opened through a dead
/// one can be told from what is alive.
///
/// Mounting does not wait for FUSE_INIT to be answered, and nothing here touches the file system itself, so the thread
/// that is to serve it may call all of this. Root alone can reach it, and nothing can be written.
class FuseMount {
public:
    /// Makes `base` (mode 0700) where it is missing, takes its lock, detaches what a predecessor left mounted below it,
    /// and mounts. kUnsupported where the kernel has no FUSE; the error says what to do.
    [[nodiscard]] static Result<FuseMount> mount(const std::filesystem::path& base);

    /// A predecessor's, which is mounted at `path` and whose session somebody has: takes the lock and detaches the
    /// others below its base. kInvalid where nothing of ours is mounted there any more, though somebody may still hold
    /// files of it. Every other error is of this moment (kTransient).
    [[nodiscard]] static Result<FuseMount> adopt(const std::filesystem::path& path);

    FuseMount(FuseMount&&) noexcept = default;
    FuseMount& operator=(FuseMount&&) = delete;
    FuseMount(const FuseMount&) = delete;
    FuseMount& operator=(const FuseMount&) = delete;

    /// Detaches it, unless it was left: who has a file of it open keeps it for as long as the session lives.
    ~FuseMount();

    /// It stays mounted, for a successor.
    void leave() noexcept { left_ = true; }

    /// The session's descriptor, not blocking; for the one who serves it. Once.
    [[nodiscard]] UniqueFd take_session() noexcept { return std::move(session_); }

    /// Where it is mounted.
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

private:
    FuseMount(UniqueFd lock, UniqueFd session, std::filesystem::path path)
        : lock_{std::move(lock)}, session_{std::move(session)}, path_{std::move(path)}
    {}

    UniqueFd lock_; ///< of the base directory
    UniqueFd session_;
    std::filesystem::path path_;
    bool left_ = false;
};

/// Whether a mount point may have that name: 8 hex digits.
[[nodiscard]] bool is_fuse_generation(std::string_view name) noexcept;

/// Detaches all that is mounted on a mount point, and removes that. What is open there stays open.
void detach_mount(const std::filesystem::path& mount_point);

/// Detaches the file systems that sluiced has left mounted below `base`, but for the one in the directory `keep`, and
/// removes their mount points. What is open in them stays open.
void detach_stale_mounts(const std::filesystem::path& base, std::string_view keep = {});

} // namespace sluice::protocol
