// SPDX-License-Identifier: Apache-2.0
#include "tools/image_spec.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sluice::tools {

namespace {

// "I" + "erofs," + fsid is a directory's name, at most 255 bytes; a cookie key of 253 bytes or more
// is a kernel bug's trigger.
constexpr std::size_t kMaxFsid = 248;
constexpr std::size_t kMaxCookie = 252;
constexpr std::size_t kMaxMountName = 200; // leaves room for the layers directory in fsconfig's 255 bytes
constexpr std::size_t kMaxLayers = 500;    // overlayfs's own limit

bool is_kernel_name(std::string_view name, std::size_t limit) noexcept
{
    // Slashes become directories that are not there; commas part mount options; blanks and control
    // bytes are for nobody.
    return !name.empty() && name.size() <= limit &&
           std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ','; });
}

Failure bad(std::string_view what, std::string_view value)
{
    return fail(
        ErrorKind::kInvalid,
        fmt::format("the daemon's answer: {} '{}' is not fit for the kernel", what, printable(value))
    );
}

Failure lacks(std::string_view what)
{
    return fail(ErrorKind::kInvalid, fmt::format("the daemon's answer lacks {}", what));
}

std::string string_or_empty(const Json& object, const char* name)
{
    const auto* text = json_string(object, name);
    return text == nullptr ? std::string{} : *text;
}

bool flag(const Json& object, const char* name)
{
    const auto* member = json_member(object, name);
    return member != nullptr && member->is_boolean() && member->get<bool>();
}

Result<std::vector<std::string>> parse_devices(const Json& layer)
{
    std::vector<std::string> cookies;
    const auto* devices = json_member(layer, "devices");
    if (devices == nullptr || !devices->is_array()) {
        return cookies;
    }
    for (const auto& device : *devices) {
        const auto* cookie = device.get_ptr<const std::string*>();
        if (cookie == nullptr || !is_kernel_name(*cookie, kMaxCookie)) {
            return bad("device", cookie == nullptr ? std::string_view{"?"} : std::string_view{*cookie});
        }
        cookies.push_back(*cookie);
    }
    return cookies;
}

Result<LayerSpec> parse_layer(const Json& object)
{
    LayerSpec layer;
    layer.digest = string_or_empty(object, "digest");
    layer.fsid = string_or_empty(object, "fsid");
    layer.domain_id = string_or_empty(object, "domain_id");
    layer.mount_name = string_or_empty(object, "mount_name");
    layer.compressed = flag(object, "compressed");
    if (const auto* size = json_member(object, "erofs_size"); size != nullptr && size->is_number_unsigned()) {
        layer.erofs_size = size->get<std::uint64_t>();
    }
    if (!is_kernel_name(layer.fsid, kMaxFsid)) {
        return bad("fsid", layer.fsid);
    }
    if (!layer.domain_id.empty() && !is_kernel_name(layer.domain_id, kMaxFsid)) {
        return bad("domain_id", layer.domain_id);
    }
    if (!is_mount_name(layer.mount_name)) {
        return bad("mount_name", layer.mount_name);
    }
    auto devices = parse_devices(object);
    if (!devices) {
        return fail(std::move(devices).error());
    }
    layer.devices = std::move(*devices);
    return layer;
}

/// Empty where cachefiles is the front end, which is the only one that needs no files.
Result<std::string> parse_blobs_dir(const Json& answer)
{
    const auto front_end = string_or_empty(answer, "front_end");
    if (front_end.empty() || front_end == "cachefiles") {
        return std::string{};
    }
    if (front_end == "none") {
        return fail(
            ErrorKind::kUnsupported,
            "the daemon's configuration says 'front-end none': it mounts nothing, images can be exported only"
        );
    }
    auto dir = string_or_empty(answer, "blobs_dir");
    if (front_end != "fuse" || !dir.starts_with('/')) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format("the daemon serves by a front end '{}' that is not known here", printable(front_end))
        );
    }
    return dir;
}

/// A layer that occurs twice counts where it is uppermost: what it says below that is said again
/// above, and overlayfs refuses one directory twice.
void drop_repeated(std::vector<LayerSpec>& layers)
{
    for (std::size_t i = layers.size(); i-- > 0;) {
        const auto above = layers.begin() + static_cast<std::ptrdiff_t>(i) + 1;
        const bool again = std::any_of(above, layers.end(), [&](const LayerSpec& layer) {
            return layer.mount_name == layers[i].mount_name;
        });
        if (again) {
            layers.erase(above - 1);
        }
    }
}

} // namespace

bool is_mount_name(std::string_view name) noexcept
{
    const auto good = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-' || c == '+';
    };
    return !name.empty() && name.size() <= kMaxMountName && name.front() != '.' &&
           std::all_of(name.begin(), name.end(), good);
}

Result<ImageSpec> parse_image_spec(const Json& answer)
{
    ImageSpec image;
    image.reference = string_or_empty(answer, "reference");
    image.manifest_digest = string_or_empty(answer, "manifest_digest");
    image.signed_by = string_or_empty(answer, "signed_by");
    const auto blobs_dir = parse_blobs_dir(answer);
    if (!blobs_dir) {
        return fail(blobs_dir.error());
    }
    const auto mount_source = string_or_empty(answer, "mount_source");
    if (mount_source.empty() && string_or_empty(answer, "front_end") == "cachefiles") {
        return lacks("\"mount_source\"");
    }
    const auto* layers = json_member(answer, "layers");
    if (layers == nullptr || !layers->is_array()) {
        return lacks("\"layers\"");
    }
    for (const auto& object : *layers) {
        const auto role = string_or_empty(object, "role");
        if (role == "device") {
            continue; // named by the layer above it
        }
        if (role == "overlay-data") {
            return fail(
                ErrorKind::kUnsupported, "the image has data-only layers (overlay-data), which cannot be mounted yet"
            );
        }
        auto layer = parse_layer(object);
        if (!layer) {
            return fail(std::move(layer).error());
        }
        layer->blobs_dir = *blobs_dir;
        layer->mount_source = mount_source;
        image.layers.push_back(std::move(*layer));
    }
    drop_repeated(image.layers);
    if (image.layers.empty()) {
        return lacks("any layer that can be mounted");
    }
    if (image.layers.size() > kMaxLayers) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format("the image has {} layers, overlayfs takes {}", image.layers.size(), kMaxLayers)
        );
    }
    return image;
}

} // namespace sluice::tools
