// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/image_verifier.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <variant>

namespace sluice::daemon {

namespace {

/// Whether the same question may have another answer in a moment. The other kinds are answers.
bool is_passing(ErrorKind kind) noexcept
{
    switch (kind) {
    case ErrorKind::kTransient:
    case ErrorKind::kTimeout:
    case ErrorKind::kNoSpace:
    case ErrorKind::kCancelled:
    case ErrorKind::kInternal:
        return true;
    case ErrorKind::kNotFound:
    case ErrorKind::kDenied:
    case ErrorKind::kCorrupt:
    case ErrorKind::kInvalid:
    case ErrorKind::kUnsupported:
        return false;
    }
    return false;
}

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

/// Adds to `search` what lies under the signature tag of `digest`; that it cannot be had is a candidate that failed.
/// Finding nothing is a success.
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
        if (!is_passing(raw.error().kind())) {
            co_return fail(raw.error(), "cannot look for signatures");
        }
        search.candidates.push_back({fmt::format("tag {}", tag), fail(raw.error())});
        co_return Result<void>{};
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

/// Why no signature could be verified for want of one that could not be fetched; nothing when all could be looked at.
std::optional<Error> unavailable(const trust::SignatureSearch& search)
{
    const auto missed = std::ranges::find_if(search.candidates, [](const trust::SignatureCandidate& candidate) {
        return !candidate.signature && is_passing(candidate.signature.error().kind());
    });
    if (missed == search.candidates.end()) {
        return std::nullopt;
    }
    const auto& why = missed->signature.error();
    return Error{
        why.kind(),
        fmt::format("its signature could not be fetched: {}: {}; try again", missed->source, why.text()),
        why.code()};
}

} // namespace

Result<VerifiedImage>
choose_signature(const trust::SignatureSearch& search, const Digest& signed_digest, const trust::KeyRing& keys)
{
    for (const auto& candidate : search.candidates) {
        if (!candidate.signature) {
            continue;
        }
        const trust::SignatureSearch one{search.repository, search.places, {candidate}};
        if (auto by = trust::require_signature(one, signed_digest, keys)) {
            return VerifiedImage{std::move(*by), std::get<trust::SimpleSigning>(*candidate.signature), false};
        }
    }
    auto none = trust::require_signature(search, signed_digest, keys);
    return none ? fail(ErrorKind::kInternal, "a signature is valid among others only") : fail(none.error());
}

Task<Result<VerifiedImage>> verify_image(
    fetcher::ImageSource& source,
    std::reference_wrapper<const trust::KeyRing> keys,
    std::reference_wrapper<const fetcher::ResolvedManifest> resolved,
    Deadline deadline
)
{
    const auto& image = resolved.get();
    trust::SignatureSearch search;
    search.repository = image.repository;
    auto collected = co_await collect(source, image.repository, image.digest, search, deadline);
    if (!collected) {
        co_return fail(collected.error());
    }
    auto verified = choose_signature(search, image.digest, keys);
    if (verified) {
        co_return verified;
    }
    auto missed = unavailable(search);
    if (image.index_digest) {
        // A signature on the index covers each manifest that the index names by digest.
        trust::SignatureSearch on_index;
        on_index.repository = image.repository;
        on_index.places = search.places;
        collected = co_await collect(source, image.repository, *image.index_digest, on_index, deadline);
        if (!collected) {
            co_return fail(collected.error());
        }
        auto by_index = choose_signature(on_index, *image.index_digest, keys);
        if (by_index) {
            by_index->over_index = true;
            co_return by_index;
        }
        missed = missed ? missed : unavailable(on_index);
        if (!on_index.candidates.empty()) {
            verified = std::move(by_index); // else: says what was wrong with those on the manifest, if there were any
        }
    }
    if (missed) {
        co_return fail(std::move(*missed));
    }
    co_return verified;
}

} // namespace sluice::daemon
