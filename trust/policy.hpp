// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trust/simple_signing.hpp"

#include <string>
#include <variant>
#include <vector>

namespace sluice::trust {

/// The forms of signature that are understood; a new one is a new alternative with its own verify
/// overload in policy.cpp.
using SignatureForm = std::variant<SimpleSigning>;

/// One signature that the search came upon, or why it could not be had (its blob is missing, too
/// long, …).
struct SignatureCandidate {
    std::string source; ///< names it in texts: "layer 1, sha256:…"
    Result<SignatureForm> signature;
};

/// What was looked at on behalf of one image.
struct SignatureSearch {
    std::string repository;          ///< where the image is said to be: "registry.example:5000/team/app"
    std::vector<std::string> places; ///< each place asked: "registry.example:5000/team/app, tag sha256-….sig"
    std::vector<SignatureCandidate> candidates; ///< what was found there
};

/// The policy "require": the first candidate that a trusted key vouches for which may sign for the repository, and
/// which names it where the key ring demands that; or Denied with a text that says where was looked, what was found,
/// why each candidate failed and which keys are trusted;
/// the caller says of which image.
[[nodiscard]] Result<VerifiedBy>
require_signature(const SignatureSearch& search, const Digest& manifest, const KeyRing& keys);

/// The repository that a docker-reference names: without tag and digest, docker.io under its usual name. Pure.
[[nodiscard]] std::string signed_repository(std::string_view docker_reference);

} // namespace sluice::trust
