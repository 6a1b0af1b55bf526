// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "tools/image_spec.hpp"

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
};

/// EROFS over fscache: the kernel asks the daemon for the layer's blobs by `fsid` and device
/// cookies.
class CachefilesLayerMounter final : public LayerMounter {
public:
    [[nodiscard]] Result<UniqueFd> mount(const LayerSpec& layer) override;
};

} // namespace sluice::tools
