// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace sluice {

/// How much of one resource of the cache's file system has to stay free, in per cent. The defaults are cachefilesd's
/// and the kernel's.
struct CullLimits {
    unsigned run = 7;  ///< culling stops once this much is free again
    unsigned cull = 5; ///< culling starts below this
    unsigned stop = 1; ///< nothing new is stored below this

    friend bool operator==(const CullLimits&, const CullLimits&) = default;
};

/// The six limits: brun, bcull, bstop, frun, fcull, fstop.
struct CacheLimits {
    CullLimits blocks;
    CullLimits files;

    friend bool operator==(const CacheLimits&, const CacheLimits&) = default;
};

/// What the kernel calls the cache where the configuration does not say; cachefilesd's.
inline constexpr std::string_view kDefaultCacheTag = "CacheFiles";

} // namespace sluice
