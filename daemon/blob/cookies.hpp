// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "protocol/cookie_path.hpp"

#include <string>
#include <string_view>

namespace sluice::daemon {

/// A blob's name towards the kernel: 64 hex digits, which is also what fits an EROFS device slot's tag.
[[nodiscard]] inline std::string cookie_of(const Digest& digest)
{
    return digest.hex();
}

/// The one volume that all images share, so that they share blobs.
[[nodiscard]] inline std::string volume_of(std::string_view domain_id)
{
    return protocol::erofs_volume_key(domain_id);
}

} // namespace sluice::daemon
