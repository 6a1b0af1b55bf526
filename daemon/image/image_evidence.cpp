// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/image_evidence.hpp"

#include "base/text.hpp"
#include "daemon/image/blob_records.hpp"
#include "trust/hasher.hpp"

#include <fmt/format.h>
#include <map>
#include <optional>
#include <utility>
#include <variant>

namespace sluice::daemon {

namespace {

std::vector<std::byte> to_bytes(std::string_view text)
{
    const auto bytes = as_byte_span(text);
    return {bytes.begin(), bytes.end()};
}

Failure corrupt(const std::string& what)
{
    return fail(ErrorKind::kCorrupt, fmt::format("what the database keeps of it does not hold together: {}", what));
}

Result<fetcher::ManifestOrIndex> parse(std::span<const std::byte> document)
{
    auto parsed = fetcher::parse_manifest(as_text(document), {});
    return parsed ? parsed : corrupt(parsed.error().text());
}

/// Follows the stored documents from the outermost index to the manifest, as ImageSource::resolve() did.
Result<fetcher::ResolvedManifest>
resolve(const cache::Evidence& evidence, const fetcher::Reference& reference, const fetcher::Platform& platform)
{
    fetcher::ResolvedManifest resolved;
    resolved.repository = reference.repository.to_string();
    std::optional<Digest> wanted = reference.digest;
    const auto is_wanted = [&](const Digest& digest) { return !wanted || *wanted == digest; };
    for (const auto& index : evidence.indexes) {
        const auto digest = trust::sha256(index);
        const auto parsed = parse(index);
        if (!parsed) {
            return fail(parsed.error());
        }
        const auto* as_index = std::get_if<fetcher::Index>(&*parsed);
        if (!is_wanted(digest) || as_index == nullptr) {
            return corrupt("an index is not the one that is asked for");
        }
        const auto chosen = fetcher::choose_platform(*as_index, platform);
        if (!chosen) {
            return corrupt(chosen.error().text());
        }
        resolved.index_digest = resolved.index_digest.value_or(digest);
        wanted = chosen->digest;
    }
    resolved.digest = trust::sha256(evidence.manifest);
    auto parsed = parse(evidence.manifest);
    if (!parsed) {
        return fail(parsed.error());
    }
    auto* manifest = std::get_if<fetcher::Manifest>(&*parsed);
    if (!is_wanted(resolved.digest) || manifest == nullptr) {
        return corrupt("the manifest is not the one that is asked for");
    }
    resolved.manifest = std::move(*manifest);
    return resolved;
}

/// The signature is over the manifest, or over the outermost index.
Result<VerifiedImage>
verify(const cache::ImageRecord& stored, const fetcher::ResolvedManifest& resolved, const trust::KeyRing& keys)
{
    trust::SimpleSigning signing{std::string{as_text(stored.evidence.payload)}, stored.evidence.signature};
    const trust::SignatureSearch search{
        resolved.repository, {"the database"}, {{"the stored one", trust::SignatureForm{std::move(signing)}}}};
    auto verified = choose_signature(search, resolved.digest, keys);
    if (!verified && resolved.index_digest) {
        if (auto by_index = choose_signature(search, *resolved.index_digest, keys)) {
            return by_index;
        }
    }
    return verified;
}

/// What the rows say of blobs and cannot be derived.
class Hints {
public:
    explicit Hints(const std::vector<cache::LayerRecord>& layers)
    {
        for (const auto& layer : layers) {
            add(layer.blob);
            for (const auto& device : layer.devices) {
                add(device);
            }
        }
    }

    [[nodiscard]] cache::BlobRecord record_of(const BlobInfo& blob) const
    {
        auto record = to_record(blob);
        if (const auto known = known_.find(record.key()); known != known_.end()) {
            record.compressed = known->second.compressed;
            record.last_access = known->second.last_access;
        }
        return record;
    }

private:
    void add(const cache::BlobRecord& blob) { known_.emplace(blob.key(), blob); }

    std::map<cache::BlobKey, cache::BlobRecord> known_;
};

bool same_rows(const cache::ImageRecord& a, const cache::ImageRecord& b)
{
    return a.repository == b.repository && a.manifest_digest == b.manifest_digest && a.index_digest == b.index_digest &&
           a.layers == b.layers;
}

} // namespace

cache::Evidence evidence_of(const fetcher::ResolvedManifest& resolved, const VerifiedImage& verified)
{
    cache::Evidence evidence;
    evidence.manifest = to_bytes(resolved.bytes);
    for (const auto& index : resolved.indexes) {
        evidence.indexes.push_back(to_bytes(index));
    }
    evidence.payload = to_bytes(verified.signature.payload);
    evidence.signature = verified.signature.signature;
    return evidence;
}

Result<ReprovedImage>
reprove(const cache::ImageRecord& stored, const trust::KeyRing& keys, const fetcher::Platform& platform)
{
    if (stored.evidence.signature.empty()) {
        return fail(ErrorKind::kNotFound, "an earlier version of sluiced has stored it without its signature");
    }
    const auto reference = fetcher::Reference::parse(stored.reference);
    if (!reference || reference->to_string() != stored.reference) {
        return corrupt("its name is no reference");
    }
    const auto resolved = resolve(stored.evidence, *reference, platform);
    if (!resolved) {
        return fail(resolved.error());
    }
    const auto verified = verify(stored, *resolved, keys);
    if (!verified) {
        return fail(verified.error());
    }
    const auto plan = plan_image(*resolved);
    if (!plan) {
        return fail(plan.error());
    }
    ReprovedImage image;
    auto& record = image.record;
    record.reference = stored.reference;
    record.repository = resolved->repository;
    record.manifest_digest = resolved->digest;
    record.index_digest = resolved->index_digest;
    record.signer_key = verified->by.key_id.to_string();
    record.signer_name = verified->by.key_name;
    record.verified_at = stored.verified_at;
    const Hints hints{stored.layers};
    for (const auto& layer : *plan) {
        cache::LayerRecord row;
        row.blob = hints.record_of(layer.blob);
        for (const auto& device : layer.devices) {
            row.devices.push_back(hints.record_of(device));
        }
        record.layers.push_back(std::move(row));
    }
    image.was_altered = !same_rows(record, stored);
    return image;
}

} // namespace sluice::daemon
