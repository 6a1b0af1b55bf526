// SPDX-License-Identifier: Apache-2.0
#include "daemon/front_end/mount_front_ends.hpp"

#include "protocol/cachefiles_front_end.hpp"
#include "protocol/fuse_front_end.hpp"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace sluice::daemon {

namespace {

std::unique_ptr<protocol::FrontEnd> make_cachefiles(const FrontEndParts& parts)
{
    const auto& config = parts.config;
    protocol::DeviceConfig device;
    device.cache_dir = config.dir;
    device.tag = config.tag;
    device.limits = {config.blocks, config.files};
    device.secctx = config.secctx;
    if (config.kernel_debug != 0) {
        device.debug = config.kernel_debug;
    }
    return std::make_unique<protocol::CachefilesFrontEnd>(parts.loop, parts.io, std::move(device), parts.descriptors);
}

std::unique_ptr<protocol::FrontEnd> make_fuse(const FrontEndParts& parts)
{
    protocol::FuseConfig fuse;
    fuse.mount_base = parts.config.blobs_dir;
    fuse.volume = volume_of(parts.config.domain_id);
    fuse.read_deadline = parts.config.read_deadline;
    fuse.contents.size_of = [&catalogue = parts.catalogue](std::string_view cookie) -> std::optional<std::uint64_t> {
        const auto* entry = catalogue.find_cookie(cookie);
        return entry == nullptr ? std::nullopt : std::optional{entry->info.erofs_size};
    };
    fuse.contents.cookies = [&catalogue = parts.catalogue] {
        std::vector<std::string> names;
        for (const auto& [identity, entry] : catalogue.entries()) {
            names.push_back(identity.hex());
        }
        return names;
    };
    return std::make_unique<protocol::FuseFrontEnd>(parts.loop, parts.workers, std::move(fuse), parts.descriptors);
}

constexpr std::array<FrontEndKind, 2> kKinds{
    {{FrontEndMode::kCachefiles,
      "cachefiles",
      "/dev/cachefiles is there and takes on-demand mode",
      "cachefiles",
      make_cachefiles},
     {FrontEndMode::kFuse, "fuse", "/dev/fuse is there", "fuse", make_fuse}}};

} // namespace

std::span<const FrontEndKind> mount_front_ends() noexcept
{
    return kKinds;
}

} // namespace sluice::daemon
