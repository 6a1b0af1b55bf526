// SPDX-License-Identifier: Apache-2.0
//
// What must survive a restart and cannot be recomputed from the cache's holes. Plain values.
#pragma once

#include "base/digest.hpp"

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::cache {

using WallTime = std::chrono::sys_seconds;

/// Which blob it is. Manifests that give one digest different roots or sizes speak of different blobs, which share
/// nothing: the root is what proves bytes.
struct BlobKey {
    Digest digest;
    Digest tree_root;
    std::uint64_t blob_size = 0;
    std::uint64_t erofs_size = 0;
    std::uint64_t tree_offset = 0;

    friend auto operator<=>(const BlobKey&, const BlobKey&) = default;
};

/// A blob as a signed manifest describes it.
struct BlobRecord {
    Digest digest;
    std::uint64_t blob_size = 0;  ///< bytes in the registry: image, hash tree and index
    std::uint64_t erofs_size = 0; ///< what is answered at OPEN; the tree never enters the backing file
    Digest tree_root;
    std::uint64_t tree_offset = 0; ///< of the hash tree in the blob
    bool compressed = false;       ///< must be complete before it is mounted
    WallTime last_access{};

    [[nodiscard]] BlobKey key() const noexcept { return {digest, tree_root, blob_size, erofs_size, tree_offset}; }

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

/// What an image was believed for: enough to prove it again without the network. All of it is as it was fetched.
struct Evidence {
    std::vector<std::byte> manifest;
    std::vector<std::vector<std::byte>>
        indexes;                    ///< the outermost first; each names the next one, the last the manifest
    std::vector<std::byte> payload; ///< what was signed
    std::string signature;          ///< base64; empty when a version stored it that kept no signatures

    friend bool operator==(const Evidence&, const Evidence&) = default;
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
    std::vector<LayerRecord> layers; ///< bottom first, as in the manifest
    Evidence evidence;               ///< empty where nobody needs it any more

    friend bool operator==(const ImageRecord&, const ImageRecord&) = default;
};

struct BlobTouch {
    BlobKey blob;
    WallTime at;
};

} // namespace sluice::cache
