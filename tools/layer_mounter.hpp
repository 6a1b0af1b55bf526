// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "tools/image_spec.hpp"
#include "tools/mount_table.hpp"

#include <memory>

namespace sluice::tools {

/// Makes the EROFS mount of a layer: over cachefiles in earnest, from a file in tests and where
/// there is no /dev/cachefiles.
class LayerMounter {
public:
    LayerMounter() = default;
    LayerMounter(const LayerMounter&) = delete;
    LayerMounter& operator=(const LayerMounter&) = delete;
    virtual ~LayerMounter() = default;

    /// A mount that is not in the tree yet. Called once for a layer that has none, under the
    /// layer's lock; from any thread. May block.
    [[nodiscard]] virtual Result<UniqueFd> mount(const LayerSpec& layer) = 0;

    /// Can `mount`, the layer's mount as it is in the tree, still be read, as far as can be told? If not, it is
    /// detached, and the layer mounted anew; who uses it goes on having what it has.
    [[nodiscard]] virtual bool is_current(const LayerSpec& /*layer*/, const MountEntry& /*mount*/) const
    {
        return true;
    }
};

/// EROFS over fscache: the kernel asks the daemon for the layer's blobs by `fsid` and device
/// cookies.
class CachefilesLayerMounter final : public LayerMounter {
public:
    [[nodiscard]] Result<UniqueFd> mount(const LayerSpec& layer) override;

    /// Not when another front end has made it, or a daemon whose binding of the device has ended. The kernel refuses
    /// the fsid of such a mount as long as somebody uses it: mount() says so then.
    [[nodiscard]] bool is_current(const LayerSpec& layer, const MountEntry& mount) const override;
};

/// Mounts each layer as the daemon says.
class KernelLayerMounter final : public LayerMounter {
public:
    /// `loop`: where blobs are files, on loop devices even if the kernel could mount the files.
    explicit KernelLayerMounter(bool loop = false);
    ~KernelLayerMounter() override;

    [[nodiscard]] Result<UniqueFd> mount(const LayerSpec& layer) override;
    [[nodiscard]] bool is_current(const LayerSpec& layer, const MountEntry& mount) const override;

private:
    [[nodiscard]] LayerMounter& choose(const LayerSpec& layer) const;

    std::unique_ptr<LayerMounter> cachefiles_;
    std::unique_ptr<LayerMounter> files_;
};

} // namespace sluice::tools
