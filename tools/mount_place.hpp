// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "tools/mount_table.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace sluice::tools {

/// A directory to mount at, in our mount namespace or in another one. Whoever owns the other one is believed nothing:
/// all of an image is mounted on our side, and a thread enters the other namespace only to find the directory, to see
/// what is mounted there, to attach, and to unmount. Calls block; thread-safe. A cheap value.
class MountPlace {
public:
    /// In our own namespace; implicit, since a directory is such a place.
    MountPlace(std::string dir) : dir_{std::move(dir)} {} // NOLINT(google-explicit-constructor)

    /// In the namespace that a path such as /proc/1/ns/mnt means; empty: ours. `dir` must be absolute in another one.
    [[nodiscard]] static Result<MountPlace> open(std::string dir, const std::string& mount_namespace);

    [[nodiscard]] const std::string& dir() const noexcept { return dir_; }

    /// An error unless the directory is there.
    [[nodiscard]] Result<void> check() const;

    /// What is mounted on top at the directory, symbolic links followed; nothing when it is no mount point.
    [[nodiscard]] Result<std::optional<MountEntry>> top_mount() const;

    /// Puts a mount that is nowhere in the tree yet on top at the directory.
    [[nodiscard]] Result<void> attach(const UniqueFd& mount) const;

    /// Unmounts what top_mount() has shown. `flags`: those of umount2(2); symbolic links are never followed.
    [[nodiscard]] Result<void> unmount(const MountEntry& mount, int flags) const;

private:
    struct Namespace {
        UniqueFd mounts; ///< the namespace
        UniqueFd proc;   ///< our own /proc: what the other side has there may be anything
    };

    MountPlace(std::string dir, std::shared_ptr<const Namespace> other)
        : dir_{std::move(dir)}, namespace_{std::move(other)}
    {}

    [[nodiscard]] Result<void> inside(const std::function<Result<void>()>& work) const;
    [[nodiscard]] Result<MountTable> read_table() const;

    std::string dir_;
    std::shared_ptr<const Namespace> namespace_; ///< null: ours
};

} // namespace sluice::tools
