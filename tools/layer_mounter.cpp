// SPDX-License-Identifier: Apache-2.0
#include "tools/layer_mounter.hpp"

#include "tools/blob_file_mounter.hpp"
#include "tools/fs_context.hpp"

#include <cerrno>
#include <sys/mount.h>

namespace sluice::tools {

namespace {

Result<void> configure(FsContext& context, const LayerSpec& layer)
{
    // The kernel ignores the source in this mode; people and is_current() see it in the mount table.
    if (auto set = context.set_string("source", layer.mount_source); !set) {
        return set;
    }
    if (auto set = context.set_string("fsid", layer.fsid); !set) {
        return set;
    }
    if (!layer.domain_id.empty()) {
        if (auto set = context.set_string("domain_id", layer.domain_id); !set) {
            return set;
        }
    }
    for (const auto& cookie : layer.devices) {
        if (auto set = context.set_string("device", cookie); !set) {
            return set;
        }
    }
    return context.set_flag("ro");
}

/// What errno alone does not tell: EROFS over fscache says EIO or ENOBUFS whatever the cause.
Error explain(const Error& error)
{
    switch (error.code()) {
    case EEXIST:
    case EBUSY:
        return Error{
            error.kind(),
            error.text() + " (this layer's file system still lives without a mount that can be "
                           "found: a dead daemon has left it to another directory that it is mounted at, it was "
                           "lazily unmounted with files open, or it is below an overlay whose lower directory was "
                           "unmounted; unmount what uses it)",
            error.code()};
    case ENOBUFS:
        return Error{
            error.kind(), error.text() + " (no daemon bound to /dev/cachefiles, or it refused the blob)", error.code()};
    default:
        return error;
    }
}

} // namespace

Result<UniqueFd> CachefilesLayerMounter::mount(const LayerSpec& layer)
{
    auto context = FsContext::open("erofs");
    if (!context) {
        return fail(std::move(context).error());
    }
    if (auto configured = configure(*context, layer); !configured) {
        return fail(configured.error());
    }
    if (auto created = context->create(); !created) {
        return fail(explain(created.error()));
    }
    return context->mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
}

bool CachefilesLayerMounter::is_current(const LayerSpec& layer, const MountEntry& mount) const
{
    return mount.source == layer.mount_source;
}

KernelLayerMounter::KernelLayerMounter(bool loop)
    : cachefiles_{std::make_unique<CachefilesLayerMounter>()}, files_{std::make_unique<BlobFileMounter>(loop)}
{}

KernelLayerMounter::~KernelLayerMounter() = default;

LayerMounter& KernelLayerMounter::choose(const LayerSpec& layer) const
{
    return layer.blobs_dir.empty() ? *cachefiles_ : *files_;
}

Result<UniqueFd> KernelLayerMounter::mount(const LayerSpec& layer)
{
    return choose(layer).mount(layer);
}

bool KernelLayerMounter::is_current(const LayerSpec& layer, const MountEntry& mount) const
{
    return choose(layer).is_current(layer, mount);
}

} // namespace sluice::tools
