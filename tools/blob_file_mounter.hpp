// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tools/layer_mounter.hpp"

#include <string>

namespace sluice::tools {

/// EROFS on the files of the daemon's FUSE file system: on the files themselves where the kernel can do that, which is
/// found out by trying; else on loop devices over them.
class BlobFileMounter final : public LayerMounter {
public:
    /// `loop`: always on loop devices.
    explicit BlobFileMounter(bool loop = false) : loop_{loop} {}

    [[nodiscard]] Result<UniqueFd> mount(const LayerSpec& layer) override;

    /// Through another file system than the one that the daemon serves now, nothing can be read any more.
    [[nodiscard]] bool is_current(const LayerSpec& layer, const MountEntry& mount) const override;

private:
    bool loop_;
};

} // namespace sluice::tools
