// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/erofs.hpp"
#include "base/task.hpp"
#include "daemon/blob/blobs.hpp"
#include "daemon/image/image_plan.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice::daemon {

/// A blob of which a block was proved: its root is that of its bytes' tree, so it may be served.
struct ProvedBlob {
    std::shared_ptr<Blob> blob;
    std::vector<std::byte> first_block; ///< proved; kBlockSize bytes
};

/// A layer whose superblock agrees with the manifest.
struct InspectedLayer {
    ProvedBlob blob;
    std::vector<ProvedBlob> devices;
    bool compressed = false; ///< may hold compressed data
};

/// Fetches and proves the first block of each blob of the plan and the device tables, a bounded number of blobs at
/// once, and checks what superblocks and device tables say: kInvalid when a device is smaller than its slot, or stands
/// in another one's place. The first failure is the outcome; it names the layer. What was proved is kept in the blobs'
/// backing files. Loop thread only; `blobs` outlives the task.
[[nodiscard]] Task<Result<std::vector<InspectedLayer>>>
inspect_layers(EventLoop& loop, Blobs& blobs, std::vector<PlannedLayer> plan);

/// The superblock of a layer that can be served as far as its first block says. Pure; the block must be proved.
[[nodiscard]] Result<erofs::Superblock>
check_first_block(std::span<const std::byte> first_block, const PlannedLayer& layer);

} // namespace sluice::daemon
