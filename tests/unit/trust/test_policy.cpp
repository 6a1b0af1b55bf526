// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/trust/test_keys.hpp"
#include "trust/policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::trust {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class PolicyTest : public ::testing::Test {
protected:
    PolicyTest() { trusted_.add(*PublicKey::parse(test_keys::kP256Public, "team.pem")); }

    [[nodiscard]] SignatureForm signed_by(std::string_view private_pem) const
    {
        return *make_simple_signing("r/a", manifest_, *PrivateKey::parse(private_pem, "k"));
    }

    [[nodiscard]] SignatureSearch found(std::vector<SignatureCandidate> candidates) const
    {
        return {
            "registry.example/app", {"registry.example/app, tag " + signature_tag(manifest_)}, std::move(candidates)};
    }

    [[nodiscard]] std::string refusal(const SignatureSearch& search, const KeyRing& keys) const
    {
        const auto result = require_signature(search, manifest_, keys);
        EXPECT_FALSE(result);
        if (result) {
            return "accepted";
        }
        EXPECT_EQ(result.error().kind(), ErrorKind::kDenied);
        return result.error().text();
    }

    Digest manifest_ = *Digest::parse_hex(std::string(64, 'c'));
    KeyRing trusted_;
};

TEST_F(PolicyTest, OneGoodSignatureAmongBadOnesSuffices)
{
    const auto verified = require_signature(
        found({
            {"layer 1", signed_by(test_keys::kOtherPrivate)},
            {"layer 2", fail(ErrorKind::kNotFound, "blob is gone")},
            {"layer 3", signed_by(test_keys::kP256Private)},
        }),
        manifest_,
        trusted_
    );
    ASSERT_TRUE(verified) << verified.error().text();
    EXPECT_EQ(verified->key_name, "team.pem");
}

TEST_F(PolicyTest, WithoutSignaturesTheTextSaysWhereWasLookedAndWhoIsTrusted)
{
    const auto text = refusal(found({}), trusted_);
    EXPECT_THAT(text, HasSubstr("registry.example/app, tag sha256-cc"));
    EXPECT_THAT(text, HasSubstr("found no signature"));
    EXPECT_THAT(text, HasSubstr("team.pem (EC P-256"));
}

TEST_F(PolicyTest, TheTextSaysWhyEachCandidateFailed)
{
    const auto text = refusal(
        found({
            {"layer 1", signed_by(test_keys::kOtherPrivate)},
            {"layer 2", fail(ErrorKind::kNotFound, "blob is gone")},
        }),
        trusted_
    );
    EXPECT_THAT(text, HasSubstr("found 2 signatures, none valid"));
    EXPECT_THAT(text, HasSubstr("layer 1: no trusted key made this signature"));
    EXPECT_THAT(text, HasSubstr("layer 2: blob is gone"));
}

TEST_F(PolicyTest, AReasonThatManyHaveIsGivenOnce)
{
    std::vector<SignatureCandidate> many;
    for (int i = 1; i <= 20; ++i) {
        many.push_back({"layer " + std::to_string(i), signed_by(test_keys::kOtherPrivate)});
    }
    many.push_back({"layer 21", fail(ErrorKind::kNotFound, "blob is gone")});
    const auto text = refusal(found(std::move(many)), trusted_);
    EXPECT_THAT(text, HasSubstr("(layer 1 and 19 more: no trusted key made this signature; layer 21: blob is gone)"));
}

TEST_F(PolicyTest, WithoutTrustedKeysNothingIsAccepted)
{
    EXPECT_THAT(refusal(found({{"layer 1", signed_by(test_keys::kP256Private)}}), {}), HasSubstr("trusted keys: none"));
}

TEST_F(PolicyTest, OnlySoManySignaturesAreLookedAt)
{
    std::vector<SignatureCandidate> many(kMaxSignatures, {"bad", signed_by(test_keys::kOtherPrivate)});
    many.push_back({"good, but too late", signed_by(test_keys::kP256Private)});
    EXPECT_THAT(refusal(found(std::move(many)), trusted_), HasSubstr("1 more were not looked at"));
}

TEST_F(PolicyTest, AKeyCountsForItsRepositoriesOnly)
{
    const auto search = found({{"layer 1", signed_by(test_keys::kP256Private)}});
    KeyRing limited;
    limited.add(*PublicKey::parse(test_keys::kP256Public, "team.pem"), {"registry.example/team", "other.example"});
    EXPECT_THAT(
        refusal(search, limited),
        AllOf(
            HasSubstr("layer 1: key team.pem may not sign for registry.example/app, only for registry.example/team and "
                      "other.example"),
            HasSubstr(" for registry.example/team and other.example")
        )
    );
    limited.add(*PublicKey::parse(test_keys::kP256Public, "team.pem"), {"registry.example/app"});
    EXPECT_TRUE(require_signature(search, manifest_, limited));
    auto nowhere = search;
    nowhere.repository.clear();
    EXPECT_THAT(refusal(nowhere, limited), HasSubstr("may not sign for"));
}

TEST_F(PolicyTest, AnotherKeyOfTheRingMayStillVouch)
{
    KeyRing keys;
    keys.add(*PublicKey::parse(test_keys::kOtherPublic, "other.pem"), {"other.example"});
    keys.add(*PublicKey::parse(test_keys::kP256Public, "team.pem"), {"registry.example"});
    const auto verified = require_signature(
        found({{"layer 1", signed_by(test_keys::kOtherPrivate)}, {"layer 2", signed_by(test_keys::kP256Private)}}),
        manifest_,
        keys
    );
    ASSERT_TRUE(verified) << verified.error().text();
    EXPECT_EQ(verified->key_name, "team.pem");
}

TEST_F(PolicyTest, TheSignedNameCountsOnDemandOnly)
{
    auto search = found({{"layer 1", signed_by(test_keys::kP256Private)}}); // it names r/a
    EXPECT_TRUE(require_signature(search, manifest_, trusted_));
    trusted_.require_signed_name();
    EXPECT_THAT(refusal(search, trusted_), HasSubstr("layer 1: it was made for r/a, not for registry.example/app"));
    search.repository = "r/a";
    EXPECT_TRUE(require_signature(search, manifest_, trusted_));
    search.repository = "";
    EXPECT_THAT(refusal(search, trusted_), HasSubstr("it was made for r/a"));
    search.repository = "oci:/srv/a";
    EXPECT_THAT(refusal(search, trusted_), HasSubstr("it was made for r/a"));
}

TEST_F(PolicyTest, OfALayoutTheDirectorysNameIsSigned)
{
    trusted_.require_signed_name();
    auto search =
        found({{"layer 1", *make_simple_signing("a", manifest_, *PrivateKey::parse(test_keys::kP256Private, "k"))}});
    search.repository = "oci:/srv/a";
    EXPECT_TRUE(require_signature(search, manifest_, trusted_));
}

TEST(SignedRepository, IsTheReferenceWithoutTagAndDigest)
{
    EXPECT_EQ(signed_repository("registry.example:5000/team/app"), "registry.example:5000/team/app");
    EXPECT_EQ(signed_repository("registry.example:5000/team/app:1.4"), "registry.example:5000/team/app");
    EXPECT_EQ(signed_repository("registry.example/app:1@sha256:00"), "registry.example/app");
    EXPECT_EQ(signed_repository("index.docker.io/library/debian"), "docker.io/library/debian");
    EXPECT_EQ(signed_repository(""), "");
}

} // namespace
} // namespace sluice::trust
