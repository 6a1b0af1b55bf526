// SPDX-License-Identifier: Apache-2.0
//
// The payload parser stands behind a signature, which a fuzzer cannot forge: so each input is
// signed here first. As it came, without that, it must never be accepted.
#include "base/text.hpp"
#include "trust/simple_signing.hpp"

#include <cstdlib>

namespace {

using namespace sluice;        // NOLINT(google-build-using-namespace)
using namespace sluice::trust; // NOLINT(google-build-using-namespace)

// Made for this test with "openssl genpkey -algorithm ed25519": the fastest of the signatures.
constexpr std::string_view kKey = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEILsAtclLv2XRxgbRcbyIbRMxg5jQD9RKUelzfNoNX8IB
-----END PRIVATE KEY-----
)";

struct Setup {
    PrivateKey key = *PrivateKey::parse(kKey, "fuzz");
    KeyRing trusted;
    Digest manifest = *Digest::parse_hex(std::string(64, 'a'));

    Setup() { trusted.add(key.public_key()); }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static const Setup setup;
    const auto bytes = std::as_bytes(std::span{data, size});
    const auto cut = as_text(bytes).find('\0');
    const std::string payload{as_text(bytes.first(cut == std::string_view::npos ? size : cut))};
    const std::string tail{cut == std::string_view::npos ? std::string_view{} : as_text(bytes.subspan(cut + 1))};
    if (verify_simple_signing({payload, tail}, setup.manifest, setup.trusted)) {
        std::abort(); // a signature out of thin air
    }
    const auto signature = encode_base64(*setup.key.sign(as_byte_span(payload)));
    const auto verified = verify_simple_signing({payload, signature}, setup.manifest, setup.trusted);
    if (verified && payload.find(setup.manifest.hex()) == std::string::npos &&
        payload.find('\\') == std::string::npos) {
        std::abort(); // it vouches for a manifest that it does not name
    }
    (void)PublicKey::parse(payload, "input");
    return 0;
}
