// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/task.hpp"
#include "fetcher/image_source.hpp"
#include "trust/policy.hpp"

#include <string>

namespace sluice::daemon {

/// Who signed an image, and the very signature that says so, so that it can be checked again without the network.
struct VerifiedImage {
    trust::VerifiedBy by;
    trust::SimpleSigning signature;
    bool over_index = false; ///< the signature is over the index that names the manifest, not over the manifest
};

/// Looks for cosign signatures of an image where it lies, on its manifest first and on the index above it then, and
/// succeeds when a trusted key made one. Where none is valid: kDenied with all that was found. Where none is valid and
/// one could not be fetched, because the network or the registry had a bad moment: the kind of that failure (such as
/// kTransient or kTimeout), because "could not look" is not "is not signed". The caller names the image.
[[nodiscard]] Task<Result<VerifiedImage>> verify_image(
    fetcher::ImageSource& source,
    std::reference_wrapper<const trust::KeyRing> keys,
    std::reference_wrapper<const fetcher::ResolvedManifest> resolved,
    Deadline deadline
);

/// The first of the candidates that a trusted key vouches for; kDenied, with where was looked and why each candidate
/// failed, when there is none.
[[nodiscard]] Result<VerifiedImage>
choose_signature(const trust::SignatureSearch& search, const Digest& signed_digest, const trust::KeyRing& keys);

} // namespace sluice::daemon
