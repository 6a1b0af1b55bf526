// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/layer_inspector.hpp"

#include "base/erofs.hpp"
#include "base/for_each_bounded.hpp"
#include "trust/merkle_tree.hpp"

#include <fmt/format.h>
#include <utility>

namespace sluice::daemon {

namespace {

/// A round trip or three for each blob: enough of them at once to hide the latency, few enough not to starve readers.
constexpr std::size_t kAtOnce = 8;

/// Where a blob of the plan is described, and where its proof goes.
struct Target {
    const BlobInfo* blob;
    ProvedBlob* proved;
    std::string name;
};

/// The first block of a blob, proved. A tree without levels has the block's own digest for its root, and is not exempt.
Task<Result<std::vector<std::byte>>> first_block(std::shared_ptr<BlobTree> tree, Deadline deadline)
{
    const ByteRange first{0, kBlockSize};
    auto prepared = co_await tree->prepare(first, deadline);
    if (!prepared) {
        co_return fail(prepared.error());
    }
    const auto expected = tree->expected(first);
    if (!expected) {
        co_return fail(expected.error());
    }
    auto bytes = co_await tree->fetch_bytes(first, deadline);
    if (bytes && trust::first_mismatch(*bytes, *expected)) {
        co_return fail(ErrorKind::kCorrupt, "its first block does not match the signed hash tree");
    }
    co_return bytes;
}

Task<Result<void>> prove(const Catalogue& catalogue, const Target& target, Deadline deadline)
{
    auto tree = catalogue.candidate(*target.blob);
    if (!tree) {
        co_return fail(tree.error(), target.name);
    }
    auto block = co_await first_block(*tree, deadline);
    if (!block) {
        co_return fail(block.error(), target.name);
    }
    *target.proved = {std::move(*tree), target.blob->repositories, std::move(*block)};
    co_return Result<void>{};
}

std::vector<Target> targets_of(const std::vector<PlannedLayer>& plan, std::vector<InspectedLayer>& layers)
{
    std::vector<Target> targets;
    for (std::size_t i = 0; i < plan.size(); ++i) {
        const auto layer = fmt::format("layer {}", plan[i].blob.digest.to_string());
        targets.push_back({&plan[i].blob, &layers[i].blob, layer});
        layers[i].devices.resize(plan[i].devices.size());
        for (std::size_t d = 0; d < plan[i].devices.size(); ++d) {
            const auto& device = plan[i].devices[d];
            auto name = fmt::format("{}: device blob {}", layer, device.digest.to_string());
            targets.push_back({&device, &layers[i].devices[d], std::move(name)});
        }
    }
    return targets;
}

} // namespace

Result<bool> check_first_block(std::span<const std::byte> first_block, const PlannedLayer& layer)
{
    const auto superblock = erofs::parse_superblock(first_block);
    if (!superblock) {
        return fail(superblock.error());
    }
    if (superblock->block_size != kBlockSize) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format("its blocks have {} bytes; the kernel serves {} on demand", superblock->block_size, kBlockSize)
        );
    }
    if (superblock->size > layer.blob.erofs_size) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "its superblock speaks of {} bytes, the manifest of {}", superblock->size, layer.blob.erofs_size
            )
        );
    }
    if (superblock->extra_devices != layer.devices.size()) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "it refers to {} device blobs, and the manifest has {}", superblock->extra_devices, layer.devices.size()
            )
        );
    }
    return superblock->compressed;
}

Task<Result<std::vector<InspectedLayer>>>
inspect_layers(EventLoop& loop, const Catalogue& catalogue, std::vector<PlannedLayer> plan, Deadline deadline)
{
    std::vector<InspectedLayer> layers(plan.size());
    const auto targets = targets_of(plan, layers);
    auto start = [&](std::size_t number) { return prove(catalogue, targets[number], deadline); };
    auto proved = co_await for_each_bounded(loop, targets.size(), kAtOnce, std::move(start));
    if (!proved) {
        co_return fail(proved.error());
    }
    for (std::size_t i = 0; i < plan.size(); ++i) {
        const auto compressed = check_first_block(layers[i].blob.first_block, plan[i]);
        if (!compressed) {
            co_return fail(compressed.error(), fmt::format("layer {}", plan[i].blob.digest.to_string()));
        }
        layers[i].compressed = *compressed;
    }
    co_return layers;
}

} // namespace sluice::daemon
