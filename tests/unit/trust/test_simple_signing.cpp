// SPDX-License-Identifier: Apache-2.0
#include "base/json.hpp"
#include "base/text.hpp"
#include "tests/unit/trust/test_keys.hpp"
#include "trust/simple_signing.hpp"

#include <gtest/gtest.h>

namespace sluice::trust {
namespace {

class SimpleSigningTest : public ::testing::Test {
protected:
    SimpleSigningTest() { trusted_.add(*PublicKey::parse(test_keys::kP256Public, "team.pem")); }

    /// A payload signed by the trusted key, whatever it says.
    [[nodiscard]] SimpleSigning sign(std::string payload) const
    {
        const auto signature = key_.sign(as_byte_span(payload));
        return {std::move(payload), encode_base64(*signature)};
    }

    [[nodiscard]] std::string payload(std::string_view digest_name, std::string_view type) const
    {
        return R"({"critical":{"identity":{"docker-reference":"r.example/app"},"image":{")" + std::string{digest_name} +
               R"(":")" + manifest_.to_string() + R"("},"type":")" + std::string{type} + R"("},"optional":null})";
    }

    [[nodiscard]] ErrorKind refused(const SimpleSigning& signature) const
    {
        const auto result = verify_simple_signing(signature, manifest_, trusted_);
        EXPECT_FALSE(result) << signature.payload;
        return result ? ErrorKind::kInternal : result.error().kind();
    }

    static constexpr std::string_view kType = "cosign container image signature";
    Digest manifest_ = *Digest::parse_hex(std::string(64, 'a'));
    PrivateKey key_ = *PrivateKey::parse(test_keys::kP256Private, "team.key");
    KeyRing trusted_;
};

TEST_F(SimpleSigningTest, WhatIsMadeVerifies)
{
    const auto made = make_simple_signing("registry.example:5000/team/app", manifest_, key_);
    ASSERT_TRUE(made);
    const auto verified = verify_simple_signing(*made, manifest_, trusted_);
    ASSERT_TRUE(verified) << verified.error().text();
    EXPECT_EQ(verified->key_name, "team.pem");
    EXPECT_EQ(verified->key_id, key_.public_key().id());
    EXPECT_EQ(verified->docker_reference, "registry.example:5000/team/app");
    const auto json = parse_json(made->payload, "payload", 4096);
    ASSERT_TRUE(json);
    EXPECT_EQ((*json)["critical"]["image"]["docker-manifest-digest"], manifest_.to_string());
}

TEST_F(SimpleSigningTest, TheTagNamesTheManifest)
{
    EXPECT_EQ(signature_tag(manifest_), "sha256-" + std::string(64, 'a') + ".sig");
}

TEST_F(SimpleSigningTest, EveryKindOfTrustedKeyCounts)
{
    const std::pair<std::string_view, std::string_view> pairs[] = {
        {test_keys::kP384Private, test_keys::kP384Public},
        {test_keys::kP521Private, test_keys::kP521Public},
        {test_keys::kRsa2048Private, test_keys::kRsa2048Public},
        {test_keys::kEd25519Private, test_keys::kEd25519Public},
    };
    for (const auto& [private_pem, public_pem] : pairs) {
        KeyRing ring = trusted_;
        ring.add(*PublicKey::parse(public_pem, "second"));
        const auto made = make_simple_signing("r/a", manifest_, *PrivateKey::parse(private_pem, "k"));
        ASSERT_TRUE(made);
        const auto verified = verify_simple_signing(*made, manifest_, ring);
        ASSERT_TRUE(verified) << verified.error().text();
        EXPECT_EQ(verified->key_name, "second");
        EXPECT_FALSE(verify_simple_signing(*made, manifest_, trusted_));
    }
}

TEST_F(SimpleSigningTest, AnUntrustedKeyIsDenied)
{
    const auto made = make_simple_signing("r/a", manifest_, *PrivateKey::parse(test_keys::kOtherPrivate, "k"));
    ASSERT_TRUE(made);
    EXPECT_EQ(refused(*made), ErrorKind::kDenied);
    EXPECT_FALSE(verify_simple_signing(*made, manifest_, KeyRing{}));
}

TEST_F(SimpleSigningTest, ASignatureOfAnotherImageIsDenied)
{
    const auto made = make_simple_signing("r/a", *Digest::parse_hex(std::string(64, 'b')), key_);
    ASSERT_TRUE(made);
    EXPECT_EQ(refused(*made), ErrorKind::kDenied);
}

TEST_F(SimpleSigningTest, AChangedPayloadIsDeniedBeforeItIsParsed)
{
    auto made = *make_simple_signing("r/a", manifest_, key_);
    made.payload = "{ not even JSON";
    EXPECT_EQ(refused(made), ErrorKind::kDenied);
}

TEST_F(SimpleSigningTest, MemberNamesMayBeWrittenInAnyCase)
{
    EXPECT_TRUE(verify_simple_signing(sign(payload("Docker-manifest-digest", kType)), manifest_, trusted_));
    EXPECT_TRUE(verify_simple_signing(sign(payload("docker-manifest-digest", kType)), manifest_, trusted_));
}

TEST_F(SimpleSigningTest, AMemberThatStandsTwiceInAnyCaseIsInvalid)
{
    const auto digest = manifest_.to_string();
    const auto twice = [&](std::string_view second) {
        return R"({"critical":{"image":{"docker-manifest-digest":")" + digest + R"(",")" + std::string{second} +
               R"(":")" + digest + R"("},"type":")" + std::string{kType} + R"("}})";
    };
    EXPECT_EQ(refused(sign(twice("Docker-Manifest-Digest"))), ErrorKind::kInvalid);
    EXPECT_EQ(refused(sign(twice("docker-manifest-digest"))), ErrorKind::kInvalid);
}

TEST_F(SimpleSigningTest, OtherTypesAndShapesAreInvalid)
{
    const std::string digest = manifest_.to_string();
    const std::string type{kType};
    for (const auto& text : {
             payload("docker-manifest-digest", "atomic container signature"),
             payload("docker-digest", kType),
             std::string{"[]"},
             std::string{"{}"},
             std::string{"{"},
             R"({"critical":[]})" + std::string{},
             R"({"critical":{"image":{"docker-manifest-digest":1},"type":")" + type + R"("}})",
             R"({"critical":{"image":")" + digest + R"(","type":")" + type + R"("}})",
             R"({"critical":{"image":{"docker-manifest-digest":")" + digest + R"("}}})",
         }) {
        EXPECT_EQ(refused(sign(text)), ErrorKind::kInvalid);
    }
}

TEST_F(SimpleSigningTest, SignaturesMustBeStrictBase64)
{
    const auto made = *make_simple_signing("r/a", manifest_, key_);
    for (const auto& text : {std::string{}, made.signature + "=", made.signature + "\n", "!" + made.signature}) {
        EXPECT_EQ(refused({made.payload, text}), ErrorKind::kInvalid) << text;
    }
}

TEST_F(SimpleSigningTest, LongInputIsInvalidWithoutBeingLookedAt)
{
    EXPECT_EQ(refused(sign(std::string(kMaxPayloadSize + 1, ' '))), ErrorKind::kInvalid);
    EXPECT_EQ(refused({"{}", std::string(kMaxSignatureText + 4, 'A')}), ErrorKind::kInvalid);
}

} // namespace
} // namespace sluice::trust
