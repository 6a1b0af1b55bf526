// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/task.hpp"
#include "daemon/blob/catalogue.hpp"
#include "daemon/image/image_plan.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace sluice::daemon {

/// A blob of which a block was proved: its root is that of its bytes' tree, so it may be served.
struct ProvedBlob {
    std::shared_ptr<BlobTree> tree;
    std::vector<std::string> repositories;
    std::vector<std::byte> first_block; ///< proved; kBlockSize bytes
};

/// A layer whose superblock agrees with the manifest.
struct InspectedLayer {
    ProvedBlob blob;
    std::vector<ProvedBlob> devices;
    bool compressed = false; ///< may hold compressed data
};

/// Fetches and proves the first block of each blob of the plan, a bounded number of blobs at once, and checks what the
/// superblocks say. The first failure is the outcome; it names the layer. Adds nothing to the catalogue. Loop thread
/// only; `catalogue` outlives the task.
[[nodiscard]] Task<Result<std::vector<InspectedLayer>>>
inspect_layers(EventLoop& loop, const Catalogue& catalogue, std::vector<PlannedLayer> plan, Deadline deadline);

/// Whether a layer with this first block can be served, and is compressed. Pure; the block must be proved.
[[nodiscard]] Result<bool> check_first_block(std::span<const std::byte> first_block, const PlannedLayer& layer);

} // namespace sluice::daemon
