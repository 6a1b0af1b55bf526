// SPDX-License-Identifier: Apache-2.0
//
// The order is the point: the signature is checked over the bytes as they came, and only then are
// they parsed. Members are looked up regardless of case, as cosign's JSON decoder does (its
// specification and its payloads disagree on one name); two members that differ in case only are
// refused, for the two readers would see two contents.
#include "trust/simple_signing.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

namespace sluice::trust {

namespace {

constexpr std::string_view kType = "cosign container image signature";

Failure invalid(std::string_view what)
{
    return fail(ErrorKind::kInvalid, fmt::format("signature payload: {}", what));
}

// The member of this name in any case; an error when it is missing or there twice.
Result<const Json*> member(const Json& object, std::string_view name)
{
    const Json* found = nullptr;
    if (object.is_object()) {
        for (auto it = object.begin(); it != object.end(); ++it) {
            if (!equals_ignoring_case(it.key(), name)) {
                continue;
            }
            if (found != nullptr) {
                return invalid(fmt::format("\"{}\" stands twice", name));
            }
            found = &it.value();
        }
    }
    if (found == nullptr) {
        return invalid(fmt::format("\"{}\" is missing", name));
    }
    return found;
}

Result<std::string> text_member(const Json& object, std::string_view name)
{
    const auto found = member(object, name);
    if (!found) {
        return fail(found.error());
    }
    const auto* text = (*found)->get_ptr<const std::string*>();
    if (text == nullptr) {
        return invalid(fmt::format("\"{}\" is not a text", name));
    }
    return *text;
}

// What the (already believed) payload says of `manifest`: the signed docker-reference, or why it
// does not vouch.
Result<std::string> check_payload(const Json& payload, const Digest& manifest)
{
    const auto critical = member(payload, "critical");
    if (!critical) {
        return fail(critical.error());
    }
    const auto type = text_member(**critical, "type");
    if (!type) {
        return fail(type.error());
    }
    if (*type != kType) {
        return invalid(fmt::format("type \"{}\" is not \"{}\"", printable(*type, 80), kType));
    }
    const auto image = member(**critical, "image");
    if (!image) {
        return fail(image.error());
    }
    const auto digest = text_member(**image, "docker-manifest-digest");
    if (!digest) {
        return fail(digest.error());
    }
    if (*digest != manifest.to_string()) {
        return fail(
            ErrorKind::kDenied,
            fmt::format("signature payload: signed for {}, not for {}", printable(*digest, 80), manifest.to_string())
        );
    }
    const auto identity = member(**critical, "identity");
    if (!identity) {
        return std::string{}; // informational, so it may be missing
    }
    const auto reference = text_member(**identity, "docker-reference");
    return reference ? *reference : std::string{};
}

} // namespace

std::string signature_tag(const Digest& manifest)
{
    return fmt::format("sha256-{}.sig", manifest.hex());
}

Result<VerifiedBy> verify_simple_signing(const SimpleSigning& signature, const Digest& manifest, const KeyRing& keys)
{
    if (signature.payload.size() > kMaxPayloadSize || signature.signature.size() > kMaxSignatureText) {
        return invalid("too long");
    }
    const auto raw = decode_base64(signature.signature);
    if (!raw || raw->empty()) {
        return fail(ErrorKind::kInvalid, fmt::format("annotation {}: not base64", kSimpleSigningAnnotation));
    }
    const auto* signer = keys.find_signer(as_byte_span(signature.payload), *raw);
    if (signer == nullptr) {
        return fail(ErrorKind::kDenied, "no trusted key made this signature");
    }
    const auto payload = parse_json(signature.payload, "signature payload", kMaxPayloadSize);
    if (!payload) {
        return fail(payload.error());
    }
    auto reference = check_payload(*payload, manifest);
    if (!reference) {
        return fail(reference.error());
    }
    return VerifiedBy{signer->key.name(), signer->key.id(), std::move(*reference)};
}

Result<SimpleSigning>
make_simple_signing(std::string_view docker_reference, const Digest& manifest, const PrivateKey& key)
{
    Json payload;
    payload["critical"]["identity"]["docker-reference"] = docker_reference;
    payload["critical"]["image"]["docker-manifest-digest"] = manifest.to_string();
    payload["critical"]["type"] = kType;
    payload["optional"] = nullptr;
    SimpleSigning result;
    result.payload = payload.dump(-1, ' ', false, Json::error_handler_t::replace);
    const auto signature = key.sign(as_byte_span(result.payload));
    if (!signature) {
        return fail(signature.error());
    }
    result.signature = encode_base64(*signature);
    return result;
}

} // namespace sluice::trust
