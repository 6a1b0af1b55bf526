// SPDX-License-Identifier: Apache-2.0
#include "tools/blob_file_mounter.hpp"

#include "tools/fs_context.hpp"
#include "tools/loop_device.hpp"

#include <cerrno>
#include <filesystem>
#include <sys/mount.h>
#include <utility>
#include <vector>

namespace sluice::tools {

namespace {

/// The layer's file, and those of its devices in the order of its device table.
std::vector<std::string> files_of(const LayerSpec& layer)
{
    std::vector<std::string> files{layer.blobs_dir + "/" + layer.fsid};
    for (const auto& cookie : layer.devices) {
        files.push_back(layer.blobs_dir + "/" + cookie);
    }
    return files;
}

/// `places`: files or block devices, the layer's own first.
Result<UniqueFd> mount_erofs(const std::vector<std::string>& places)
{
    auto context = FsContext::open("erofs");
    if (!context) {
        return fail(std::move(context).error());
    }
    for (std::size_t i = 0; i < places.size(); ++i) {
        if (auto set = context->set_string(i == 0 ? "source" : "device", places[i]); !set) {
            return fail(set.error());
        }
    }
    if (auto set = context->set_flag("ro"); !set) {
        return fail(set.error());
    }
    if (auto created = context->create(); !created) {
        return fail(created.error());
    }
    return context->mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
}

Result<UniqueFd> mount_on_loops(const std::vector<std::string>& files)
{
    std::vector<LoopDevice> loops; // kept until the file system has them open
    std::vector<std::string> places;
    for (const auto& file : files) {
        auto loop = LoopDevice::attach(file);
        if (!loop) {
            return fail(loop.error());
        }
        places.push_back(loop->path());
        loops.push_back(std::move(*loop));
    }
    return mount_erofs(places);
}

/// The directory's path as the kernel tells it of a file in it. The last component, where the file system is mounted,
/// is no link.
std::string where_links_lead(const std::filesystem::path& dir)
{
    std::error_code error;
    const auto parent = std::filesystem::canonical(dir.parent_path(), error);
    return error ? dir.string() : (parent / dir.filename()).string();
}

} // namespace

Result<UniqueFd> BlobFileMounter::mount(const LayerSpec& layer)
{
    const auto files = files_of(layer);
    if (loop_) {
        return mount_on_loops(files);
    }
    auto mounted = mount_erofs(files);
    if (!mounted && mounted.error().code() == ENOTBLK) {
        return mount_on_loops(files);
    }
    return mounted;
}

bool BlobFileMounter::is_current(const LayerSpec& layer, const MountEntry& mount) const
{
    // Each daemon has a directory with a name of its own, so names tell. Nothing is asked of what is mounted there: a
    // file system that nobody serves any more answers nothing, not even stat(2) or what a loop device stands on.
    const auto wanted = layer.blobs_dir + "/" + layer.fsid;
    if (mount.source == wanted) {
        return true;
    }
    const auto below = loop_backing_file(mount.source);
    return below && *below == where_links_lead(layer.blobs_dir) + "/" + layer.fsid;
}

} // namespace sluice::tools
