// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/image_plan.hpp"

#include "base/text.hpp"
#include "trust/blob_annotations.hpp"

#include <fmt/format.h>

namespace sluice::daemon {

namespace {

/// A manifest may hold 4 MiB of layers; an overlay mount cannot (the kernel's limit is 500).
constexpr std::size_t kMostLayers = 500;

constexpr std::string_view kChunkIndexType = "application/vnd.erofs.chunk-index.v1";

/// The spec's type, containerd 2.3's, and the suffix that containerd 2.1 and 2.2 went by.
bool is_erofs_type(std::string_view type) noexcept
{
    return type == "application/vnd.erofs" || type == "application/vnd.erofs.layer.v1" || type.ends_with(".erofs");
}

Result<BlobInfo>
describe(const fetcher::Descriptor& layer, const trust::Annotations& annotations, const std::string& where)
{
    auto integrity = trust::parse_blob_trust(annotations, layer.size);
    if (!integrity) {
        if (integrity.error().kind() == ErrorKind::kNotFound) {
            return fail(
                ErrorKind::kUnsupported,
                "the signed manifest gives no hash tree root for it (annotation org.erofs.dmverity.root_digest), so "
                "its "
                "bytes cannot be proved; publish it with \"sluicectl publish\""
            );
        }
        return fail(integrity.error());
    }
    BlobInfo blob;
    blob.digest = layer.digest;
    blob.blob_size = layer.size;
    blob.erofs_size = integrity->erofs_size;
    blob.tree_offset = integrity->tree_offset;
    blob.root = integrity->root;
    blob.repositories = {where};
    return blob;
}

} // namespace

Result<std::vector<PlannedLayer>> plan_image(const fetcher::ResolvedManifest& resolved)
{
    std::vector<PlannedLayer> layers;
    std::vector<BlobInfo> devices; // of the next layer that can be mounted
    const auto& all = resolved.manifest.layers;
    if (all.size() > kMostLayers) {
        return fail(
            ErrorKind::kUnsupported, fmt::format("the image has {} layers, more than {}", all.size(), kMostLayers)
        );
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto& layer = all[i];
        const auto name = fmt::format("layer {} ({})", i + 1, layer.digest.to_string());
        if (layer.media_type == kChunkIndexType) {
            continue; // another way to prove the layer before it; the tree is finer
        }
        const trust::Annotations annotations{layer.annotations.begin(), layer.annotations.end()};
        const auto role = trust::parse_role(annotations);
        if (!role) {
            return fail(role.error(), name);
        }
        if (*role == trust::LayerRole::kData) {
            return fail(ErrorKind::kUnsupported, fmt::format("{}: data-only layers cannot be mounted yet", name));
        }
        if (*role == trust::LayerRole::kLower && !is_erofs_type(layer.media_type)) {
            return fail(
                ErrorKind::kUnsupported,
                fmt::format("{}: media type \"{}\" is not an EROFS layer", name, printable(layer.media_type, 100))
            );
        }
        auto blob = describe(layer, annotations, resolved.repository);
        if (!blob) {
            return fail(blob.error(), name);
        }
        if (*role == trust::LayerRole::kDevice) {
            devices.push_back(std::move(*blob));
            continue;
        }
        layers.push_back({std::move(*blob), std::move(devices)});
        devices.clear();
    }
    if (!devices.empty()) {
        return fail(ErrorKind::kInvalid, "the image ends with a device layer that no EROFS layer follows");
    }
    if (layers.empty()) {
        return fail(ErrorKind::kUnsupported, "the image has no EROFS layer");
    }
    return layers;
}

} // namespace sluice::daemon
