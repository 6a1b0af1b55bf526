// SPDX-License-Identifier: Apache-2.0
//
// cosign's signatures in their older storage form: a manifest under the tag "sha256-<hex of the
// signed manifest>.sig", of which each layer is one signed JSON payload with its signature in an
// annotation.
#pragma once

#include "trust/key_ring.hpp"
#include "trust/private_key.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::trust {

inline constexpr std::string_view kSimpleSigningMediaType = "application/vnd.dev.cosign.simplesigning.v1+json";
inline constexpr std::string_view kSimpleSigningAnnotation = "dev.cosignproject.cosign/signature";
inline constexpr std::size_t kMaxSignatures = 64;           ///< layers looked at in one signature manifest
inline constexpr std::size_t kMaxPayloadSize = 64 * 1024;   ///< bytes; refuse to fetch more
inline constexpr std::size_t kMaxSignatureText = 16 * 1024; ///< base64 characters

/// "sha256-<hex>.sig", the tag under which the signatures of `manifest` are kept.
[[nodiscard]] std::string signature_tag(const Digest& manifest);

/// One signature as it was fetched. Nothing in it is believed yet.
struct SimpleSigning {
    std::string payload;   ///< the layer blob, byte for byte; the caller has checked its digest and size
    std::string signature; ///< kSimpleSigningAnnotation of the layer: base64
};

/// Who vouches for a manifest.
struct VerifiedBy {
    std::string key_name;
    Digest key_id;
    std::string docker_reference; ///< as signed: where the signer has pushed it; empty: not told
};

/// Succeeds when one of `keys` signed exactly this payload, and the payload speaks of `manifest`.
/// The payload is parsed only after its signature has been verified. Denied: no trusted key made
/// it, or it is for another image; Invalid: it is not well-formed. Whether the key may sign for the image's repository
/// is require_signature()'s question.
[[nodiscard]] Result<VerifiedBy>
verify_simple_signing(const SimpleSigning& signature, const Digest& manifest, const KeyRing& keys);

/// A signed payload for `manifest`, as cosign makes it. `docker_reference` is the repository
/// without tag.
[[nodiscard]] Result<SimpleSigning>
make_simple_signing(std::string_view docker_reference, const Digest& manifest, const PrivateKey& key);

} // namespace sluice::trust
