// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fetcher/blob_source.hpp"
#include "fetcher/manifest.hpp"
#include "fetcher/reference.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sluice::fetcher {

/// A manifest or index as it lies there; `digest` is our own hash of `bytes`.
struct RawManifest {
    std::string media_type; ///< as the place names it; may be empty
    std::string bytes;
    Digest digest;
};

/// What a reference means on this platform. A signature may be on the index or on the manifest.
struct ResolvedManifest {
    std::string repository;             ///< as in BlobLocation
    std::optional<Digest> index_digest; ///< of the outermost index, when the reference names one
    std::vector<std::string> indexes;   ///< their bytes, the outermost first: each names the next one by its digest
    Digest digest;                      ///< of the platform's manifest
    std::string bytes;                  ///< the manifest's, proved against `digest`
    Manifest manifest;

    [[nodiscard]] BlobLocation locate(const Descriptor& blob) const { return {repository, blob.digest, blob.size}; }
};

/// A place that images are read from: a registry or an image layout directory. Ranges of their blobs are a BlobSource's
/// business, and what is written there an ImageTarget's. All of it on the loop's thread; destroying a task cancels it.
/// `repository` is a Repository's printed form.
class ImageSource {
public:
    ImageSource() = default;
    ImageSource(const ImageSource&) = delete;
    ImageSource& operator=(const ImageSource&) = delete;
    virtual ~ImageSource() = default;

    /// A manifest by tag or "sha256:…"; when by digest, the bytes are proved against it. kNotFound
    /// when there is none.
    [[nodiscard]] virtual Task<Result<RawManifest>>
    fetch_manifest(std::string repository, std::string tag_or_digest, Deadline deadline) = 0;

    /// A whole blob of at most `limit` bytes, proved against size and digest.
    [[nodiscard]] virtual Task<Result<std::string>>
    fetch_small_blob(BlobLocation blob, std::size_t limit, Deadline deadline) = 0;

    /// Follows `reference` to the manifest for `platform`, through at most two levels of indexes.
    [[nodiscard]] Task<Result<ResolvedManifest>> resolve(Reference reference, Platform platform, Deadline deadline);
};

/// Who reads the images of a repository, by its printed form.
using ImageRoute = std::function<ImageSource&(const std::string& repository)>;

} // namespace sluice::fetcher
