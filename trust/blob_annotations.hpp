// SPDX-License-Identifier: Apache-2.0
//
// What a layer's descriptor says about how its bytes can be proved (erofs-image-spec draft). Only
// annotations of a manifest whose signature has been verified may come here.
#pragma once

#include "trust/merkle_geometry.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

namespace sluice::trust {

using Annotations = std::map<std::string, std::string, std::less<>>; // as the fetcher hands them over

inline constexpr const char* kHashOffsetAnnotation = "org.erofs.dmverity.hash_offset";
inline constexpr const char* kRootDigestAnnotation = "org.erofs.dmverity.root_digest";
inline constexpr const char* kBlockSizeAnnotation = "org.erofs.dmverity.block_size";
inline constexpr const char* kRoleAnnotation = "org.erofs.role";
inline constexpr const char* kIndexRangeAnnotation = "org.erofs.chunk-index.range";
inline constexpr const char* kIndexDigestAnnotation = "org.erofs.chunk-index.digest";

enum class LayerRole : std::uint8_t {
    kLower,  ///< "overlay-lower" or absent: mountable
    kData,   ///< "overlay-data": data-only lower layer
    kDevice, ///< "device": bytes for the next layer that is not a device
};

/// The embedded chunk index; its payload must have this digest.
struct ChunkIndexRef {
    ByteRange range; ///< in the blob
    Digest digest;
};

/// How a blob's bytes are proved.
struct BlobTrust {
    std::uint64_t erofs_size; ///< bytes of data, = hash_offset; the size answered at OPEN
    Digest root;
    std::uint64_t tree_offset; ///< in the blob; moved on by locate_tree() when a superblock stands
                               ///< before the tree
    MerkleGeometry geometry;
    std::optional<ChunkIndexRef> index;
};

/// The layer's role; Unsupported for one that is not known.
[[nodiscard]] Result<LayerRole> parse_role(const Annotations& annotations);

/// Reads and bounds-checks the annotations against the blob's size. NotFound: no dm-verity
/// annotations at all; Invalid: they contradict themselves or the size; Unsupported: another hash
/// or block size.
[[nodiscard]] Result<BlobTrust> parse_blob_trust(const Annotations& annotations, std::uint64_t blob_size);

/// The tree's offset in the blob, given what is found at `trust.tree_offset`: the first min(512,
/// what is left) bytes or more. A dm-verity superblock there is checked (Unsupported: salted or
/// another hash) and skipped.
[[nodiscard]] Result<std::uint64_t>
locate_tree(const BlobTrust& trust, std::uint64_t blob_size, std::span<const std::byte> at_hash_offset);

} // namespace sluice::trust
