// SPDX-License-Identifier: Apache-2.0
//
// What must survive a restart and cannot be recomputed from the cache's holes. Plain values.
#pragma once

#include "base/digest.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::cache {

using WallTime = std::chrono::sys_seconds;

/// A blob as a signed manifest describes it. Its cookie key is the hex form of the digest.
struct BlobRecord {
    Digest digest;
    std::uint64_t blob_size = 0;  ///< bytes in the registry: image, hash tree and index
    std::uint64_t erofs_size = 0; ///< what is answered at OPEN; the tree never enters the backing file
    Digest tree_root;
    std::uint64_t tree_offset = 0; ///< of the hash tree in the blob
    bool compressed = false;       ///< must be complete before it is mounted
    bool complete = false;         ///< a hint that the backing file had no holes when somebody last looked
    WallTime last_access{};

    friend bool operator==(const BlobRecord&, const BlobRecord&) = default;
};

enum class LayerRole : std::uint8_t {
    kLower, ///< a lower directory of the overlay
    kData,  ///< a data-only lower directory
};

/// One EROFS mount: its blob, and the extra devices in the order of the image's device table.
struct LayerRecord {
    LayerRole role = LayerRole::kLower;
    BlobRecord blob;
    std::vector<BlobRecord> devices;

    friend bool operator==(const LayerRecord&, const LayerRecord&) = default;
};

struct ImageRecord {
    std::string reference;  ///< as the operator wrote it, normalised; the key
    std::string repository; ///< where its blobs lie
    Digest manifest_digest;
    std::optional<Digest> index_digest; ///< of the index that the manifest was chosen from
    std::string signer_key;             ///< fingerprint of the key that signed it; empty where the policy asked
                                        ///< for none
    std::string signer_name;            ///< what the configuration calls that key
    WallTime verified_at{};
    std::vector<std::byte> manifest; ///< its bytes, as they were hashed
    std::vector<LayerRecord> layers; ///< bottom first, as in the manifest

    friend bool operator==(const ImageRecord&, const ImageRecord&) = default;
};

struct BlobTouch {
    Digest digest;
    WallTime at;
};

} // namespace sluice::cache
