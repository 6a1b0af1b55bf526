// SPDX-License-Identifier: Apache-2.0
#include "tools/image_mount.hpp"

#include "tools/fs_context.hpp"
#include "tools/layer_usage.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <sys/mount.h>
#include <thread>

namespace sluice::tools {

namespace {

/// Mounting a layer waits for the network; so many are waited for at once.
constexpr std::size_t kParallelLayers = 8;

Result<std::string> canonical_directory(const std::string& dir)
{
    std::error_code error;
    const auto path = std::filesystem::canonical(dir, error);
    if (error) {
        return fail_errno(error.value(), dir);
    }
    if (!std::filesystem::is_directory(path, error)) {
        return fail_errno(ENOTDIR, dir);
    }
    return path.string();
}

/// Mounts all layers that are missing, several at a time; the first error in layer order, if any.
Result<void>
ensure_all(const LayerMounts& layers, const LayerMounts::Hold& hold, const ImageSpec& image, LayerMounter& mounter)
{
    std::vector<std::optional<Error>> errors(image.layers.size());
    std::atomic<std::size_t> next{0};
    std::atomic<bool> failed{false};
    const auto work = [&] {
        for (std::size_t i = 0; !failed && (i = next++) < image.layers.size();) {
            if (auto ensured = layers.ensure(hold, image.layers[i], mounter); !ensured) {
                errors[i] = ensured.error();
                failed = true;
            }
        }
    };
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < std::min(kParallelLayers, image.layers.size()); ++i) {
        others.emplace_back(work);
    }
    work();
    for (auto& other : others) {
        other.join();
    }
    for (const auto& error : errors) {
        if (error) {
            return fail(*error);
        }
    }
    return {};
}

Result<void> attach_single(const std::string& layer, const std::string& target, std::uint64_t attributes)
{
    auto mount = clone_mount(layer);
    if (!mount) {
        return fail(std::move(mount).error());
    }
    if (auto set = set_mount_attributes(*mount, attributes); !set) {
        return fail(set.error());
    }
    return attach_mount(*mount, target);
}

Result<void> mount_held(
    const LayerMounts& layers,
    const ImageSpec& image,
    const std::string& target,
    std::uint64_t attributes,
    LayerMounter& mounter,
    OverlayStyle style
)
{
    const auto hold = layers.hold();
    if (!hold) {
        return fail(hold.error());
    }
    if (auto ensured = ensure_all(layers, *hold, image, mounter); !ensured) {
        return ensured;
    }
    if (image.layers.size() == 1) {
        return attach_single(fmt::format("{}/{}", layers.dir(), image.layers.front().mount_name), target, attributes);
    }
    OverlayRequest overlay{layers.dir(), {}, image.reference, attributes};
    for (const auto& layer : image.layers) {
        overlay.names.push_back(layer.mount_name);
    }
    return mount_overlay(overlay, target, style);
}

/// The names of the layers that make up what is mounted, topmost first; empty when it is none of
/// ours.
std::vector<std::string> layers_of(const MountEntry& mount, const MountTable& table, const std::string& layers_dir)
{
    std::vector<std::string> names;
    const auto find_layer = [&](auto&& matches) {
        for (const auto& entry : table) {
            const auto name = layer_name(layers_dir, entry.mount_point);
            if (!name.empty() && entry.fs_type == "erofs" && matches(entry, name)) {
                names.emplace_back(name);
                return;
            }
        }
    };
    if (mount.fs_type == "erofs") {
        find_layer([&](const MountEntry& entry, std::string_view) { return entry.device == mount.device; });
    }
    for (const auto& dir : overlay_lower_dirs(mount)) {
        find_layer([&](const MountEntry&, std::string_view name) { return name == last_component(dir); });
    }
    return names;
}

/// A layer that was mounted from a blob's file (".../2c26b46b/<64 hex digits>"), whatever became of its own mount: a
/// dead one is replaced in the layers directory while its users still have it.
bool is_blob_file(const MountEntry& mount)
{
    constexpr std::size_t kDigits = 64;
    constexpr std::string_view kHex = "0123456789abcdef";
    const auto name = last_component(mount.source);
    return mount.fs_type == "erofs" && mount.source.starts_with('/') && name.size() == kDigits &&
           name.find_first_not_of(kHex) == std::string_view::npos;
}

/// The mount point as the table has it: `dir` itself, or where its symbolic links lead.
Result<const MountEntry*> top_mount_at(const MountTable& table, const std::string& dir)
{
    if (const auto* entry = find_top_mount(table, dir)) {
        return entry;
    }
    const auto path = canonical_directory(dir);
    if (!path) {
        return fail(path.error());
    }
    return find_top_mount(table, *path);
}

} // namespace

Result<void> mount_image(
    const LayerMounts& layers,
    const ImageSpec& image,
    const std::string& dir,
    std::uint64_t attributes,
    LayerMounter& mounter,
    OverlayStyle style
)
{
    const auto target = canonical_directory(dir);
    if (!target) {
        return fail(target.error());
    }
    auto mounted = mount_held(layers, image, *target, attributes, mounter, style);
    if (!mounted) {
        (void)layers.release_unused(); // the failure that brought us here is the one to tell about
    }
    return mounted;
}

Result<bool> is_image_mounted(const std::string& layers_dir, const ImageSpec& image, const std::string& dir)
{
    const auto table = read_mount_table();
    if (!table) {
        return fail(table.error());
    }
    const auto top = top_mount_at(*table, dir);
    if (!top) {
        return fail(top.error());
    }
    if (*top == nullptr) {
        return false;
    }
    const auto names = layers_of(**top, *table, layers_dir);
    return std::equal(
        names.begin(),
        names.end(),
        image.layers.rbegin(),
        image.layers.rend(),
        [](const std::string& name, const LayerSpec& layer) { return name == layer.mount_name; }
    );
}

Result<ReleaseReport> unmount_image(const LayerMounts& layers, const std::string& dir)
{
    const auto table = read_mount_table();
    if (!table) {
        return fail(table.error());
    }
    const auto top = top_mount_at(*table, dir);
    if (!top) {
        return fail(top.error());
    }
    if (*top == nullptr) {
        return fail(ErrorKind::kInvalid, dir + ": nothing is mounted there");
    }
    const MountEntry& mount = **top;
    if (layers_of(mount, *table, layers.dir()).empty() && !is_blob_file(mount)) {
        return fail(
            ErrorKind::kInvalid, fmt::format("{}: a mount of type {}, not an image of sluice's", dir, mount.fs_type)
        );
    }
    if (!layer_name(layers.dir(), mount.mount_point).empty()) {
        return fail(
            ErrorKind::kInvalid, dir + ": a layer's own mount, which goes when nothing uses it (release-layers)"
        );
    }
    if (::umount2(mount.mount_point.c_str(), UMOUNT_NOFOLLOW) != 0) {
        return fail_errno(errno, "unmounting " + dir);
    }
    return layers.release_unused();
}

} // namespace sluice::tools
