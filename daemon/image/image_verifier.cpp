// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/image_verifier.hpp"

#include <fmt/format.h>

namespace sluice::daemon {

namespace {

Task<trust::SignatureCandidate> read_candidate(
    fetcher::ImageSource& source,
    fetcher::BlobLocation location,
    std::string signature,
    std::string name,
    Deadline deadline
)
{
    auto payload = co_await source.fetch_small_blob(location, trust::kMaxPayloadSize, deadline);
    if (!payload) {
        co_return trust::SignatureCandidate{std::move(name), fail(payload.error())};
    }
    trust::SimpleSigning signing{std::move(*payload), std::move(signature)};
    co_return trust::SignatureCandidate{std::move(name), trust::SignatureForm{std::move(signing)}};
}

/// Adds to `search` what lies under the signature tag of `digest`. Finding nothing is a success.
Task<Result<void>> collect(
    fetcher::ImageSource& source,
    std::string repository,
    Digest digest,
    trust::SignatureSearch& search,
    Deadline deadline
)
{
    const auto tag = trust::signature_tag(digest);
    search.places.push_back(fmt::format("{}, tag {}", repository, tag));
    auto raw = co_await source.fetch_manifest(repository, tag, deadline);
    if (!raw) {
        if (raw.error().kind() == ErrorKind::kNotFound) {
            co_return Result<void>{};
        }
        co_return fail(raw.error(), "cannot look for signatures");
    }
    auto parsed = fetcher::parse_manifest(raw->bytes, raw->media_type);
    const auto* manifest = parsed ? std::get_if<fetcher::Manifest>(&*parsed) : nullptr;
    if (manifest == nullptr) {
        trust::SignatureCandidate broken{
            tag, parsed ? fail(ErrorKind::kInvalid, "is an index, not a manifest") : fail(parsed.error())};
        search.candidates.push_back(std::move(broken));
        co_return Result<void>{};
    }
    for (std::size_t i = 0; i < manifest->layers.size() && i < trust::kMaxSignatures; ++i) {
        const auto& layer = manifest->layers[i];
        const auto* signature = layer.annotation(trust::kSimpleSigningAnnotation);
        if (layer.media_type != trust::kSimpleSigningMediaType || signature == nullptr) {
            continue;
        }
        const fetcher::BlobLocation location{repository, layer.digest, layer.size};
        auto name = fmt::format("signature {} of tag {}", i + 1, tag);
        auto candidate = co_await read_candidate(source, location, *signature, std::move(name), deadline);
        search.candidates.push_back(std::move(candidate));
    }
    co_return Result<void>{};
}

} // namespace

Task<Result<trust::VerifiedBy>> verify_image(
    fetcher::ImageSource& source,
    const trust::KeyRing& keys,
    std::string reference,
    const fetcher::ResolvedManifest& image,
    Deadline deadline
)
{
    trust::SignatureSearch search;
    search.image = reference;
    auto collected = co_await collect(source, image.repository, image.digest, search, deadline);
    if (!collected) {
        co_return fail(collected.error());
    }
    auto verified = trust::require_signature(search, image.digest, keys);
    if (verified || !image.index_digest) {
        co_return verified;
    }
    // A signature on the index covers each manifest that the index names by digest.
    trust::SignatureSearch on_index;
    on_index.image = reference;
    on_index.places = search.places;
    collected = co_await collect(source, image.repository, *image.index_digest, on_index, deadline);
    if (!collected) {
        co_return fail(collected.error());
    }
    auto by_index = trust::require_signature(on_index, *image.index_digest, keys);
    if (by_index || !on_index.candidates.empty()) {
        co_return by_index;
    }
    co_return verified; // says what was wrong with those on the manifest, if there were any
}

} // namespace sluice::daemon
