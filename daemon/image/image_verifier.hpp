// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/task.hpp"
#include "fetcher/image_source.hpp"
#include "trust/policy.hpp"

#include <string>

namespace sluice::daemon {

/// Looks for cosign signatures of an image where it lies, on its manifest first and on the index above it then, and
/// succeeds when a trusted key made one. Denied otherwise, with all that was found; network failures are told as such,
/// because "could not look" is not "is not signed".
[[nodiscard]] Task<Result<trust::VerifiedBy>> verify_image(
    fetcher::ImageSource& source,
    const trust::KeyRing& keys,
    std::string reference,
    const fetcher::ResolvedManifest& image,
    Deadline deadline
);

} // namespace sluice::daemon
