// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::daemon {

/// What is known of one blob from a signed manifest: all that is needed to serve it.
struct BlobInfo {
    Digest digest; ///< of the whole blob, as the manifest names it
    std::uint64_t blob_size = 0;
    std::uint64_t erofs_size = 0;  ///< what readers see: [0, erofs_size) of the blob; a multiple of the block size
    std::uint64_t tree_offset = 0; ///< where in the blob the hash tree begins
    Digest root;
    std::vector<std::string> repositories; ///< where it lies, best first; never empty
    /// The EROFS image is compressed, or belongs to one that is: some kernels must not open it before all of it is
    /// here.
    bool compressed = false;
};

/// Which blob it is, whoever speaks of it: a hash of the digest, the root and the three sizes. Two manifests that give
/// one digest different roots speak of different blobs, which share nothing: the root is what proves bytes, and a
/// digest alone proves none before all of the blob was read. Costs a SHA-256 of 100 bytes.
[[nodiscard]] Digest identity_of(const BlobInfo& blob);

/// The blob's name in the cache and towards the kernel: the 64 hex digits of its identity.
[[nodiscard]] std::string cookie_of(const BlobInfo& blob);

/// `newer` first, and then what of `older` is not among them. Pure.
[[nodiscard]] std::vector<std::string>
join_repositories(std::vector<std::string> newer, const std::vector<std::string>& older);

/// The one volume that all images share, so that they share blobs.
[[nodiscard]] std::string volume_of(std::string_view domain_id);

} // namespace sluice::daemon
