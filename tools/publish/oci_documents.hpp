// SPDX-License-Identifier: Apache-2.0
//
// The JSON documents of an image. Pure; the same input gives the same bytes.
#pragma once

#include "base/digest.hpp"
#include "trust/simple_signing.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

inline constexpr std::string_view kConfigType = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kIndexType = "application/vnd.oci.image.index.v1+json";

/// A document and what names it.
struct Document {
    std::string media_type;
    std::string bytes;
    Digest digest;
};

struct LayerEntry {
    std::string media_type;
    Digest digest;
    std::uint64_t size = 0;
    std::map<std::string, std::string> annotations;
};

/// Linux on `architecture`, with os.features "erofs". Diff ids are the layers' digests, for nothing is compressed
/// around them.
[[nodiscard]] Document make_config(std::string_view architecture, const std::vector<LayerEntry>& layers);

[[nodiscard]] Document make_manifest(const Document& config, const std::vector<LayerEntry>& layers);

/// An index that holds one manifest.
[[nodiscard]] Document make_index(const Document& manifest, std::string_view architecture);

/// A cosign signature manifest and its config.
struct SignatureDocuments {
    Document config;
    Document manifest;
};

/// `signature` added to the layers of `existing`, the manifest that is under the signature tag already (empty: none).
/// Layers of other signers are kept. Invalid when `existing` is no such manifest, or full.
[[nodiscard]] Result<SignatureDocuments>
add_signature(std::string_view existing, const trust::SimpleSigning& signature);

/// Whether `existing` holds a signature over exactly `payload` by `key`.
[[nodiscard]] bool has_signature(std::string_view existing, std::string_view payload, const trust::PublicKey& key);

} // namespace sluice::tools
