// SPDX-License-Identifier: Apache-2.0
#include "tools/image_mount.hpp"

#include "tools/fs_context.hpp"
#include "tools/layer_usage.hpp"
#include "tools/loop_device.hpp"
#include "tools/mount_namespaces.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fmt/format.h>
#include <optional>
#include <sys/mount.h>
#include <thread>

namespace sluice::tools {

namespace {

/// Mounting a layer waits for the network; so many are waited for at once.
constexpr std::size_t kParallelLayers = 8;

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

Result<UniqueFd> clone_layer(const std::string& layer, std::uint64_t attributes)
{
    auto mount = clone_mount(layer);
    if (!mount) {
        return mount;
    }
    if (auto set = set_mount_attributes(*mount, attributes); !set) {
        return fail(set.error());
    }
    return mount;
}

/// What the mount table shows for an overlay. Where the layers are files, the directory that they are in stands in
/// front: each start of the daemon has another, so that what stands on a dead one can be told.
std::string overlay_source(const ImageSpec& image)
{
    const auto& blobs_dir = image.layers.front().blobs_dir;
    auto source = blobs_dir.empty() ? image.reference : fmt::format("{}:{}", blobs_dir, image.reference);
    source.resize(std::min(source.size(), kMaxFsStringLength));
    return source;
}

Result<void> mount_held(
    const LayerMounts& layers,
    const ImageSpec& image,
    const MountPlace& place,
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
    OverlayRequest overlay{layers.dir(), {}, overlay_source(image), attributes};
    for (const auto& layer : image.layers) {
        overlay.names.push_back(layer.mount_name);
    }
    const auto mount = image.layers.size() == 1
                           ? clone_layer(fmt::format("{}/{}", layers.dir(), overlay.names.front()), attributes)
                           : make_overlay(overlay, style);
    return mount ? place.attach(*mount) : fail(mount.error(), "mounting at " + place.dir());
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

/// The blob whose file a layer was mounted from (".../2c26b46b/<64 hex digits>", or a loop device over that), whatever
/// became of the layer's own mount: a dead one is replaced in the layers directory while its users still have it. Empty
/// when there is none.
std::string blob_of(const MountEntry& mount)
{
    constexpr std::size_t kDigits = 64;
    constexpr std::string_view kHex = "0123456789abcdef";
    if (mount.fs_type != "erofs" || !mount.source.starts_with('/')) {
        return {};
    }
    const auto file = loop_backing_file(mount.source).value_or(mount.source);
    const auto name = last_component(file);
    const bool blob = name.size() == kDigits && name.find_first_not_of(kHex) == std::string_view::npos;
    return blob ? std::string{name} : std::string{};
}

bool is_overlay_current(
    const MountEntry& mount,
    const MountTable& table,
    const ImageSpec& image,
    const std::string& layers_dir,
    const LayerMounter& mounter
)
{
    const auto& blobs_dir = image.layers.front().blobs_dir;
    const bool same_files =
        blobs_dir.empty() ? !mount.source.starts_with('/') : mount.source.starts_with(blobs_dir + ":");
    return same_files && std::all_of(image.layers.begin(), image.layers.end(), [&](const LayerSpec& layer) {
               const auto* own = find_top_mount(table, fmt::format("{}/{}", layers_dir, layer.mount_name));
               return own != nullptr && mounter.is_current(layer, *own);
           });
}

/// Is it a mount of an image, whichever? `table`: ours, which has the layers.
bool is_image(const MountEntry& mount, const MountTable& table, const std::string& layers_dir)
{
    return !layers_of(mount, table, layers_dir).empty() || !blob_of(mount).empty();
}

} // namespace

Result<void> mount_image(
    const LayerMounts& layers,
    const ImageSpec& image,
    const MountPlace& place,
    std::uint64_t attributes,
    LayerMounter& mounter,
    OverlayStyle style
)
{
    if (auto checked = place.check(); !checked) {
        return checked;
    }
    auto mounted = mount_held(layers, image, place, attributes, mounter, style);
    if (!mounted) {
        (void)layers.release_unused(); // the failure that brought us here is the one to tell about
    }
    return mounted;
}

Result<Presence>
find_image(const std::string& layers_dir, const ImageSpec& image, const MountPlace& place, const LayerMounter& mounter)
{
    const auto table = read_mount_table();
    if (!table) {
        return fail(table.error());
    }
    const auto top = place.top_mount();
    if (!top) {
        return fail(top.error());
    }
    if (!*top) {
        return Presence::kAbsent;
    }
    const MountEntry& mount = **top;
    const auto names = layers_of(mount, *table, layers_dir);
    const bool same_names = std::equal(
        names.begin(),
        names.end(),
        image.layers.rbegin(),
        image.layers.rend(),
        [](const std::string& name, const LayerSpec& layer) { return name == layer.mount_name; }
    );
    const auto& lowest = image.layers.front();
    const bool single = image.layers.size() == 1;
    if (!same_names && !(single && blob_of(mount) == lowest.fsid)) {
        return is_image(mount, *table, layers_dir) ? Presence::kOther : Presence::kAbsent;
    }
    const bool current =
        single ? mounter.is_current(lowest, mount) : is_overlay_current(mount, *table, image, layers_dir, mounter);
    return current ? Presence::kThere : Presence::kDead;
}

Result<void> detach_dead(const MountPlace& place)
{
    const auto top = place.top_mount();
    if (!top || !*top) {
        return top ? Result<void>{} : fail(top.error());
    }
    const auto detached = place.unmount(**top, MNT_DETACH);
    return detached ? Result<void>{} : fail(detached.error(), "the dead mount at " + place.dir());
}

Result<ReleaseReport> unmount_image(const LayerMounts& layers, const MountPlace& place)
{
    const auto table = read_mount_table();
    if (!table) {
        return fail(table.error());
    }
    const auto top = place.top_mount();
    if (!top) {
        return fail(top.error());
    }
    const auto& dir = place.dir();
    if (!*top) {
        return fail(ErrorKind::kInvalid, dir + ": nothing is mounted there");
    }
    const MountEntry& mount = **top;
    if (!is_image(mount, *table, layers.dir())) {
        return fail(
            ErrorKind::kInvalid, fmt::format("{}: a mount of type {}, not an image of sluice's", dir, mount.fs_type)
        );
    }
    if (!layer_name(layers.dir(), mount.mount_point).empty()) {
        return fail(ErrorKind::kInvalid, dir + ": a layer's own mount, which the daemon unmounts when nothing uses it");
    }
    if (auto unmounted = place.unmount(mount, 0); !unmounted) {
        return fail(unmounted.error());
    }
    if (!sees_all_processes()) {
        ReleaseReport report;
        report.note = fmt::format(
            "{} is unmounted; its layers stay mounted until sluiced releases them, because only who has CAP_SYS_PTRACE "
            "can see whether another mount namespace uses them; nothing has to be done while sluiced runs",
            dir
        );
        return report;
    }
    return layers.release_unused();
}

} // namespace sluice::tools
