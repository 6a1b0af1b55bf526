// SPDX-License-Identifier: Apache-2.0
#include "tools/blob_file_mounter.hpp"

#include "tools/fs_context.hpp"
#include "tools/loop_device.hpp"

#include <cerrno>
#include <sys/mount.h>
#include <sys/stat.h>
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
    if (mount.source == layer.blobs_dir + "/" + layer.fsid) {
        return true; // each daemon has a directory with a name of its own
    }

    // A dead file system keeps its number for as long as a loop device has a file of it open.
    struct stat files {};

    const auto below = loop_backing_device(mount.source);
    return below && ::stat(layer.blobs_dir.c_str(), &files) == 0 && *below == files.st_dev;
}

} // namespace sluice::tools
