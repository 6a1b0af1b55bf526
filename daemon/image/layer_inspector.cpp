// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/layer_inspector.hpp"

#include "base/for_each_bounded.hpp"

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

std::string layer_name(const PlannedLayer& layer)
{
    return fmt::format("layer {}", layer.blob.digest.to_string());
}

Task<Result<void>> prove(Blobs& blobs, Target target)
{
    auto blob = blobs.use(*target.blob);
    if (!blob) {
        co_return fail(blob.error(), target.name);
    }
    // A tree without levels has its only block's digest for a root, and is not exempt.
    const ByteRange first{0, kBlockSize};
    auto block = co_await (*blob)->proved_bytes(first);
    if (!block) {
        co_return fail(block.error(), target.name);
    }
    *target.proved = {std::move(*blob), std::move(*block)};
    co_return Result<void>{};
}

std::vector<erofs::Device> devices_of(const PlannedLayer& planned, const InspectedLayer& inspected)
{
    std::vector<erofs::Device> devices;
    for (std::size_t i = 0; i < planned.devices.size(); ++i) {
        const auto& blob = planned.devices[i];
        const auto superblock = erofs::parse_superblock(inspected.devices[i].first_block); // most devices have none
        devices.push_back({
            blob.digest.to_string(),
            blob.erofs_size,
            {blob.digest},
            superblock ? std::optional{superblock->uuid} : std::nullopt,
        });
    }
    return devices;
}

/// Checks a layer whose first blocks are proved: its superblock, and its device table, whose blocks are proved as well.
Task<Result<void>> check_layer(std::reference_wrapper<const PlannedLayer> plan, InspectedLayer& inspected)
{
    const auto& planned = plan.get();
    const auto name = layer_name(planned);
    const auto superblock = check_first_block(inspected.blob.first_block, planned);
    if (!superblock) {
        co_return fail(superblock.error(), name);
    }
    inspected.compressed = superblock->compressed;
    if (planned.devices.empty()) {
        co_return Result<void>{};
    }
    const auto blocks = superblock->device_table.align_out(kBlockSize);
    if (blocks.end() > planned.blob.erofs_size) {
        co_return fail(ErrorKind::kInvalid, fmt::format("{}: its device table lies outside the image", name));
    }
    const auto bytes = co_await inspected.blob.blob->proved_bytes(blocks);
    if (!bytes) {
        co_return fail(bytes.error(), name);
    }
    const auto table = std::span{*bytes}.subspan(superblock->device_table.begin() - blocks.begin());
    const auto slots = erofs::parse_device_table(*superblock, table);
    if (!slots) {
        co_return fail(slots.error(), name);
    }
    const auto fitting = erofs::check_devices(*slots, devices_of(planned, inspected));
    if (!fitting) {
        co_return fail(fitting.error(), name);
    }
    co_return Result<void>{};
}

std::vector<Target> targets_of(const std::vector<PlannedLayer>& plan, std::vector<InspectedLayer>& layers)
{
    std::vector<Target> targets;
    for (std::size_t i = 0; i < plan.size(); ++i) {
        const auto layer = layer_name(plan[i]);
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

Result<erofs::Superblock> check_first_block(std::span<const std::byte> first_block, const PlannedLayer& layer)
{
    auto superblock = erofs::parse_superblock(first_block);
    if (!superblock) {
        return superblock;
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
    return superblock;
}

Task<Result<std::vector<InspectedLayer>>> inspect_layers(EventLoop& loop, Blobs& blobs, std::vector<PlannedLayer> plan)
{
    std::vector<InspectedLayer> layers(plan.size());
    const auto targets = targets_of(plan, layers);
    auto start = [&](std::size_t number) { return prove(blobs, targets[number]); };
    auto proved = co_await for_each_bounded(loop, targets.size(), kAtOnce, std::move(start));
    if (!proved) {
        co_return fail(proved.error());
    }
    auto check = [&](std::size_t number) { return check_layer(plan[number], layers[number]); };
    auto checked = co_await for_each_bounded(loop, plan.size(), kAtOnce, std::move(check));
    if (!checked) {
        co_return fail(checked.error());
    }
    co_return layers;
}

} // namespace sluice::daemon
