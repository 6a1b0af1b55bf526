// SPDX-License-Identifier: Apache-2.0
//
// What an image was believed for is kept with it, and looked at again before it is believed after a restart: whoever
// edits the database gains nothing by it. Pure, so for workers.
#pragma once

#include "cache/records.hpp"
#include "daemon/image/image_plan.hpp"
#include "daemon/image/image_verifier.hpp"
#include "fetcher/image_source.hpp"
#include "trust/key_ring.hpp"

#include <string>
#include <vector>

namespace sluice::daemon {

[[nodiscard]] cache::Evidence evidence_of(const fetcher::ResolvedManifest& resolved, const VerifiedImage& verified);

/// An image out of the database, proved anew.
struct ReprovedImage {
    cache::ImageRecord record; ///< all of it follows from the evidence, but verified_at and the hints below
    bool was_altered = false;  ///< the rows said something else than the evidence
};

/// Hashes the stored documents, checks the stored signature against the trusted keys, and plans the layers again from
/// the signed manifest. Of the stored rows, it takes last_access and compressed as hints, the rest it compares. The
/// result's evidence is empty. kNotFound when a version of sluiced that kept no signature has stored it; kDenied when
/// no trusted key made the signature; kCorrupt when the documents do not belong together.
[[nodiscard]] Result<ReprovedImage>
reprove(const cache::ImageRecord& stored, const trust::KeyRing& keys, const fetcher::Platform& platform);

} // namespace sluice::daemon
