// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/trust/test_keys.hpp"
#include "trust/key_ring.hpp"
#include "trust/private_key.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace sluice::trust {
namespace {

using namespace test_keys; // NOLINT(google-build-using-namespace): nothing but constants

struct Row {
    KeyType type;
    std::string_view private_pem;
    std::string_view public_pem;
    std::string_view hello; // the openssl tool's signature
};

class KeyTest : public ::testing::TestWithParam<Row> {};

TEST_P(KeyTest, TheOpensslToolsSignaturesVerify)
{
    const auto key = PublicKey::parse(GetParam().public_pem, "k");
    ASSERT_TRUE(key) << key.error().text();
    EXPECT_EQ(key->type(), GetParam().type);
    auto signature = decode_base64(GetParam().hello);
    ASSERT_TRUE(signature);
    EXPECT_TRUE(key->verify(as_byte_span("hello"), *signature));
    EXPECT_FALSE(key->verify(as_byte_span("hellO"), *signature));
    EXPECT_FALSE(key->verify(as_byte_span("hello"), {}));
    signature->back() ^= std::byte{1};
    EXPECT_FALSE(key->verify(as_byte_span("hello"), *signature));
}

TEST_P(KeyTest, WhatThePrivateHalfSignsThePublicHalfVerifies)
{
    const auto pair = PrivateKey::parse(GetParam().private_pem, "pair");
    ASSERT_TRUE(pair) << pair.error().text();
    const auto key = PublicKey::parse(GetParam().public_pem, "k");
    ASSERT_TRUE(key);
    EXPECT_EQ(pair->public_key().id(), key->id());
    const auto signature = pair->sign(as_byte_span("message"));
    ASSERT_TRUE(signature);
    EXPECT_TRUE(key->verify(as_byte_span("message"), *signature));
    const auto other = PublicKey::parse(kOtherPublic, "other");
    ASSERT_TRUE(other);
    EXPECT_FALSE(other->verify(as_byte_span("message"), *signature));
}

INSTANTIATE_TEST_SUITE_P(
    Types,
    KeyTest,
    ::testing::Values(
        Row{KeyType::kEcP256, kP256Private, kP256Public, kP256Hello},
        Row{KeyType::kEcP384, kP384Private, kP384Public, kP384Hello},
        Row{KeyType::kEcP521, kP521Private, kP521Public, kP521Hello},
        Row{KeyType::kRsa, kRsa2048Private, kRsa2048Public, kRsa2048Hello},
        Row{KeyType::kEd25519, kEd25519Private, kEd25519Public, kEd25519Hello}
    )
);

TEST(PublicKeyTest, TheIdIsTheDigestOfTheSubjectPublicKeyInfo)
{
    const auto key = PublicKey::parse(kP256Public, "k");
    ASSERT_TRUE(key);
    EXPECT_EQ(
        key->id().hex(), "df5f85c733898b52e364248434d42943df6cbaa78aa55b3d8c7b0644693694fd"
    ); // openssl pkey -pubin -outform DER | sha256sum
}

TEST(PublicKeyTest, WeakAndUnknownKeysAreUnsupportedByName)
{
    const auto weak = PublicKey::parse(kRsa1024Public, "weak.pem");
    ASSERT_FALSE(weak);
    EXPECT_EQ(weak.error().kind(), ErrorKind::kUnsupported);
    EXPECT_NE(weak.error().text().find("weak.pem: RSA of 1024 bits"), std::string::npos) << weak.error().text();
    const auto curve = PublicKey::parse(kSecp256k1Public, "k1.pem");
    ASSERT_FALSE(curve);
    EXPECT_EQ(curve.error().kind(), ErrorKind::kUnsupported);
    EXPECT_NE(curve.error().text().find("secp256k1"), std::string::npos) << curve.error().text();
}

TEST(PublicKeyTest, WhatIsNoPublicKeyIsInvalid)
{
    for (const std::string_view text :
         {std::string_view{""},
          std::string_view{"hello"},
          std::string_view{"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}}) {
        const auto key = PublicKey::parse(text, "k");
        ASSERT_FALSE(key);
        EXPECT_EQ(key.error().kind(), ErrorKind::kInvalid);
    }
    const auto secret = PublicKey::parse(kP256Private, "k");
    ASSERT_FALSE(secret);
    EXPECT_NE(secret.error().text().find("private key"), std::string::npos);
}

TEST(PrivateKeyTest, PlainSec1IsReadToo)
{
    EXPECT_TRUE(PrivateKey::parse(kP256Sec1, "k"));
}

AskPassphrase answer(std::string_view passphrase)
{
    return [passphrase](const std::string&) -> Result<Secret> { return Secret{passphrase}; };
}

TEST(PrivateKeyTest, EncryptedKeysAreReadWithTheirPassphrase)
{
    const auto half = PublicKey::parse(kP256EncryptedPublic, "half");
    ASSERT_TRUE(half);
    for (const auto pem : {kP256Encrypted, kP256EncryptedOfOld}) {
        const auto key = PrivateKey::parse(pem, "k", answer("correct"));
        ASSERT_TRUE(key) << key.error().text();
        EXPECT_EQ(key->public_key().id(), half->id());
    }
}

TEST(PrivateKeyTest, AWrongOrMissingPassphraseIsDeniedInPlainWords)
{
    for (const auto pem : {kP256Encrypted, kP256EncryptedOfOld}) {
        for (const auto* wrong : {"wrong", "", "correct "}) {
            const auto key = PrivateKey::parse(pem, "team.key", answer(wrong));
            ASSERT_FALSE(key);
            EXPECT_EQ(key.error().kind(), ErrorKind::kDenied);
            EXPECT_EQ(key.error().text(), "key team.key: wrong passphrase, or the file is damaged");
        }
        const auto unasked = PrivateKey::parse(pem, "team.key");
        ASSERT_FALSE(unasked);
        EXPECT_EQ(unasked.error().text(), "key team.key: it is encrypted and needs its passphrase");
        const auto refused = PrivateKey::parse(pem, "team.key", [](const std::string& name) -> Result<Secret> {
            return fail(ErrorKind::kCancelled, name + ": not now");
        });
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().text(), "team.key: not now");
    }
    bool asked = false;
    EXPECT_TRUE(PrivateKey::parse(kP256Private, "k", [&](const std::string&) -> Result<Secret> {
        asked = true;
        return Secret{};
    }));
    EXPECT_FALSE(asked) << "a plain key needs none";
}

TEST(PrivateKeyTest, CosignsOwnFormIsUnsupportedAndTheTextSaysWhatToDo)
{
    for (const auto* form : {"COSIGN", "SIGSTORE"}) {
        const auto text = std::string{"-----BEGIN ENCRYPTED "} + form + " PRIVATE KEY-----\nAAAA\n";
        const auto cosign = PrivateKey::parse(text, "cosign.key");
        ASSERT_FALSE(cosign);
        EXPECT_EQ(cosign.error().kind(), ErrorKind::kUnsupported);
        EXPECT_NE(cosign.error().text().find("cosign"), std::string::npos);
    }
    EXPECT_FALSE(PrivateKey::parse(kP256Public, "k"));
    EXPECT_FALSE(PrivateKey::parse("", "k"));
}

TEST(PrivateKeyTest, AFileThatOthersCanReadIsRefusedAndTheTextSaysWhatToDo)
{
    const test::TempDir dir;
    const auto file = dir.write_private("team.key", kP256Private);
    EXPECT_TRUE(PrivateKey::load(file));
    for (const auto mode : {0640U, 0604U, 0620U}) {
        ASSERT_EQ(::chmod(file.c_str(), mode), 0);
        const auto key = PrivateKey::load(file);
        ASSERT_FALSE(key) << mode;
        EXPECT_EQ(key.error().kind(), ErrorKind::kDenied);
        EXPECT_NE(key.error().text().find("chmod 600 " + file.string()), std::string::npos) << key.error().text();
    }
}

TEST(SecretTest, GrowsWithinItsRoomOnly)
{
    Secret secret{4};
    EXPECT_TRUE(secret.append("abc"));
    EXPECT_FALSE(secret.append("de"));
    EXPECT_EQ(secret.view(), "abc");
    secret.truncate(1);
    EXPECT_EQ(secret.view(), "a");
    const auto* before = secret.view().data();
    const Secret moved = std::move(secret);
    EXPECT_EQ(moved.view().data(), before) << "a move copies nothing";
}

TEST(SecretTest, WhatGoesIsOverwritten)
{
    Secret secret{8};
    ASSERT_TRUE(secret.append("secret"));
    const auto* bytes = secret.view().data();
    secret.truncate(2); // the memory stays allocated
    EXPECT_EQ((std::string_view{bytes, 6}), (std::string_view{"se\0\0\0\0", 6}));
}

TEST(KeyRingTest, LoadsEachKeyOnceAndFindsTheSigner)
{
    const test::TempDir dir;
    const std::vector<KeyFile> files{
        {dir.write("a.pem", kP256Public), {"r.example/a"}},
        {dir.write("b.pem", kEd25519Public), {}},
        {dir.write("again.pem", kP256Public), {"r.example/b"}}};
    const auto ring = KeyRing::load(files);
    ASSERT_TRUE(ring) << ring.error().text();
    ASSERT_EQ(ring->keys().size(), 2U);
    const auto signature = decode_base64(kEd25519Hello);
    ASSERT_TRUE(signature);
    const auto* signer = ring->find_signer(as_byte_span("hello"), *signature);
    ASSERT_NE(signer, nullptr);
    EXPECT_EQ(signer->key.name(), files[1].file.string());
    EXPECT_TRUE(signer->may_sign_for("anything/at/all"));
    const auto& both = ring->keys()[0];
    EXPECT_TRUE(both.may_sign_for("r.example/a") && both.may_sign_for("r.example/b")) << "it was given twice";
    EXPECT_FALSE(both.may_sign_for("r.example/c"));
    EXPECT_EQ(ring->find(both.key.id()), &both);
    EXPECT_EQ(ring->find_signer(as_byte_span("other"), *signature), nullptr);
    EXPECT_NE(ring->describe().find("b.pem (Ed25519, "), std::string::npos) << ring->describe();
    EXPECT_EQ(KeyRing{}.describe(), "none");
}

TEST(KeyRingTest, WholePathComponentsDecide)
{
    EXPECT_TRUE(is_within("registry.example/team/app", "registry.example/team"));
    EXPECT_TRUE(is_within("registry.example/team", "registry.example/team"));
    EXPECT_TRUE(is_within("registry.example/team", "registry.example"));
    EXPECT_TRUE(is_within("oci:/srv/images/app", "oci:/srv/images"));
    EXPECT_FALSE(is_within("registry.example/teamx", "registry.example/team"));
    EXPECT_FALSE(is_within("registry.example:5000/team", "registry.example"));
    EXPECT_FALSE(is_within("registry.example", "registry.example/team"));
    EXPECT_FALSE(is_within("x/registry.example/team", "registry.example/team"));
    EXPECT_FALSE(is_within("", "registry.example"));
    EXPECT_FALSE(is_within("registry.example", ""));
}

TEST(KeyRingTest, AKeyWithoutLimitsStaysSo)
{
    for (const bool limited_first : {true, false}) {
        KeyRing ring;
        ring.add(
            *PublicKey::parse(kP256Public, "a"),
            limited_first ? std::vector<std::string>{"r.example"} : std::vector<std::string>{}
        );
        ring.add(
            *PublicKey::parse(kP256Public, "a"),
            limited_first ? std::vector<std::string>{} : std::vector<std::string>{"r.example"}
        );
        EXPECT_TRUE(ring.keys().front().may_sign_for("other.example/app"));
    }
}

TEST(KeyRingTest, AFileThatCannotBeUsedIsNamed)
{
    const test::TempDir dir;
    const std::vector<KeyFile> missing{{dir.path() / "nothing.pem", {}}};
    const auto ring = KeyRing::load(missing);
    ASSERT_FALSE(ring);
    EXPECT_EQ(ring.error().kind(), ErrorKind::kNotFound);
    EXPECT_NE(ring.error().text().find("nothing.pem"), std::string::npos);
    const std::vector<KeyFile> endless{{dir.write("long.pem", std::string(70000, 'x')), {}}};
    EXPECT_FALSE(KeyRing::load(endless));
}

} // namespace
} // namespace sluice::trust
