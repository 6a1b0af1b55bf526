// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::daemon {

/// What is known of one blob from a signed manifest: all that is needed to serve it.
struct BlobInfo {
    Digest digest; ///< of the whole blob; its hex is the cookie
    std::uint64_t blob_size = 0;
    std::uint64_t erofs_size = 0;  ///< what readers see: [0, erofs_size) of the blob; a multiple of the block size
    std::uint64_t tree_offset = 0; ///< where in the blob the hash tree begins
    Digest root;
    std::vector<std::string> repositories; ///< where it lies, best first; never empty
};

} // namespace sluice::daemon
