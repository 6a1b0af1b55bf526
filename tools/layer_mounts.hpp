// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "tools/layer_mounter.hpp"
#include "tools/mount_table.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace sluice::tools {

/// What release_unused() did.
struct ReleaseReport {
    std::vector<std::string> released; ///< names of layers
    std::vector<std::string> in_use;
    std::vector<std::string> failed; ///< "name: why"
    std::string note;                ///< why nothing was released, and what to do; empty: it was tried
};

/// The one EROFS mount that every layer has below the layers directory, shared by all images and
/// directories that use it. What exists and what is used is read from the kernel's mount tables
/// each time; nothing is remembered, so a crash anywhere leaves at most an unused layer, which the
/// next release takes away. Thread-safe, and safe between processes: mounting holds the directory's
/// lock shared, releasing holds it exclusively.
class LayerMounts {
public:
    /// The directory is made when it is first needed (mode 0700).
    [[nodiscard]] static Result<LayerMounts> open(const std::string& dir);

    /// While one of these lives, no layer is released.
    class Hold {
    public:
        explicit Hold(UniqueFd lock) noexcept : lock_{std::move(lock)} {}

    private:
        UniqueFd lock_;
    };

    [[nodiscard]] Result<Hold> hold() const;

    /// Makes sure that the layer is mounted, and says where. Two who want one layer wait for each
    /// other; others do not.
    [[nodiscard]] Result<std::string> ensure(const Hold& hold, const LayerSpec& layer, LayerMounter& mounter) const;

    /// Unmounts the layers that nothing in any mount namespace uses. Waits for running mounts.
    /// Needs root.
    [[nodiscard]] Result<ReleaseReport> release_unused() const;

    /// Absolute, without symbolic links: as mount tables show it.
    [[nodiscard]] const std::string& dir() const noexcept { return dir_; }

private:
    explicit LayerMounts(std::string dir) : dir_{std::move(dir)} {}

    [[nodiscard]] Result<void> make_directory() const;
    [[nodiscard]] Result<UniqueFd> lock(int operation) const;

    std::string dir_;
};

} // namespace sluice::tools
