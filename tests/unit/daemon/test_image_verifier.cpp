// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/image_verifier.hpp"
#include "tests/support/fake_images.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/unit/trust/test_keys.hpp"
#include "trust/simple_signing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <utility>

namespace sluice::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kRepository = "registry.test/app";

class ImageVerifier : public test::FdLeakTest {
protected:
    ImageVerifier() { keys.add(*trust::PublicKey::parse(trust::test_keys::kP256Public, "team.pem")); }

    /// An image with one layer, and an index above it.
    void publish()
    {
        image.repository = kRepository;
        image.digest = test::add_image(source, kRepository, {}, {test::add_layer(source, test::ErofsBytes{}.bytes())});
        image.index_digest = test::add_index(source, kRepository, "1", image.digest);
    }

    Result<VerifiedImage> verify()
    {
        auto verified = test::run_task(loop, verify_image(source, keys, image, Deadline::after(milliseconds{60'000})));
        return verified ? std::move(*verified) : fail(ErrorKind::kInternal, "the task did not end");
    }

    /// What begins so fails with `kind`.
    void fail_on(std::string what, ErrorKind kind)
    {
        source.fault = [what = std::move(what), kind](const std::string& asked) -> std::optional<Error> {
            return asked.starts_with(what) ? std::optional{Error{kind, "registry.test: failed as told"}} : std::nullopt;
        };
    }

    EventLoop loop;
    BufferPool buffers{1 << 20, 64 * 1024};
    test::FakeImageSource source{loop, buffers};
    trust::KeyRing keys;
    fetcher::ResolvedManifest image;
};

TEST_F(ImageVerifier, ASignatureOfTheManifestIsKeptWithItsBytes)
{
    publish();
    test::sign(source, kRepository, image.digest, trust::test_keys::kP256Private);
    const auto verified = verify();
    ASSERT_TRUE(verified) << verified.error().text();
    EXPECT_EQ(verified->by.key_name, "team.pem");
    EXPECT_FALSE(verified->over_index);
    EXPECT_TRUE(trust::verify_simple_signing(verified->signature, image.digest, keys));
}

TEST_F(ImageVerifier, ASignatureOfTheIndexCoversItsManifests)
{
    publish();
    test::sign(source, kRepository, *image.index_digest, trust::test_keys::kP256Private);
    const auto verified = verify();
    ASSERT_TRUE(verified) << verified.error().text();
    EXPECT_TRUE(verified->over_index);
    EXPECT_TRUE(trust::verify_simple_signing(verified->signature, *image.index_digest, keys));
}

TEST_F(ImageVerifier, WithoutASignatureItIsDeniedAndSaysWhereWasLooked)
{
    publish();
    const auto verified = verify();
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(verified.error().text(), AllOf(HasSubstr(trust::signature_tag(image.digest)), HasSubstr("team.pem")));
}

TEST_F(ImageVerifier, AKeyOfOtherRepositoriesIsDeniedWithTheReason)
{
    publish();
    test::sign(source, kRepository, image.digest, trust::test_keys::kP256Private);
    test::sign(source, kRepository, *image.index_digest, trust::test_keys::kP256Private);
    keys = {};
    keys.add(*trust::PublicKey::parse(trust::test_keys::kP256Public, "team.pem"), {"registry.test/team"});
    const auto verified = verify();
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(
        verified.error().text(),
        HasSubstr("key team.pem may not sign for registry.test/app, only for registry.test/team")
    );
    keys.add(*trust::PublicKey::parse(trust::test_keys::kP256Public, "team.pem"), {"registry.test/app"});
    EXPECT_TRUE(verify());
}

TEST_F(ImageVerifier, AnotherKeysSignatureIsDeniedWithTheReason)
{
    publish();
    test::sign(source, kRepository, image.digest, trust::test_keys::kOtherPrivate);
    const auto verified = verify();
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(verified.error().text(), HasSubstr("no trusted key made this signature"));
}

TEST_F(ImageVerifier, AnotherKeysSignatureOfTheIndexIsDeniedWithTheReason)
{
    publish();
    test::sign(source, kRepository, *image.index_digest, trust::test_keys::kOtherPrivate);
    const auto verified = verify();
    ASSERT_FALSE(verified);
    EXPECT_THAT(
        verified.error().text(),
        AllOf(
            HasSubstr("no trusted key made this signature"),
            HasSubstr(image.index_digest->to_string()),
            HasSubstr(trust::signature_tag(image.digest))
        )
    );
}

TEST_F(ImageVerifier, ASignatureOfAnotherImageIsDenied)
{
    publish();
    const auto other = test::add_image(source, kRepository, "2", {});
    test::sign(source, kRepository, other, trust::test_keys::kP256Private);
    const auto raw = test::run_task(
        loop, source.fetch_manifest(kRepository, trust::signature_tag(other), Deadline::after(milliseconds{60'000}))
    );
    source.add_manifest(kRepository, trust::signature_tag(image.digest), (*raw)->media_type, (*raw)->bytes);
    const auto verified = verify();
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(verified.error().text(), HasSubstr("signed for " + other.to_string()));
}

TEST_F(ImageVerifier, ASignatureThatCannotBeFetchedNowIsUnavailableAndNotDenied)
{
    publish();
    test::sign(source, kRepository, image.digest, trust::test_keys::kP256Private);
    for (const auto kind : {ErrorKind::kTransient, ErrorKind::kTimeout}) {
        fail_on("blob ", kind);
        const auto verified = verify();
        ASSERT_FALSE(verified);
        EXPECT_EQ(verified.error().kind(), kind);
        EXPECT_THAT(
            verified.error().text(),
            AllOf(
                HasSubstr("its signature could not be fetched"),
                HasSubstr("signature 1 of tag"),
                HasSubstr("failed as told"),
                HasSubstr("try again"),
                Not(HasSubstr("no valid signature"))
            )
        );
    }
}

TEST_F(ImageVerifier, ASignatureListThatCannotBeFetchedNowIsUnavailable)
{
    publish();
    fail_on("manifest " + trust::signature_tag(image.digest), ErrorKind::kTransient);
    const auto verified = verify();
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().kind(), ErrorKind::kTransient);
    EXPECT_THAT(verified.error().text(), HasSubstr("could not be fetched"));
}

TEST_F(ImageVerifier, ASignatureListOfTheIndexThatCannotBeFetchedNowIsUnavailable)
{
    publish();
    test::sign(source, kRepository, image.digest, trust::test_keys::kOtherPrivate);
    fail_on("manifest " + trust::signature_tag(*image.index_digest), ErrorKind::kTimeout);
    const auto verified = verify();
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().kind(), ErrorKind::kTimeout);
}

TEST_F(ImageVerifier, AGoodSignatureOfTheIndexSufficesWhenThatOfTheManifestCannotBeFetched)
{
    publish();
    test::sign(source, kRepository, *image.index_digest, trust::test_keys::kP256Private);
    fail_on("manifest " + trust::signature_tag(image.digest), ErrorKind::kTransient);
    const auto verified = verify();
    ASSERT_TRUE(verified) << verified.error().text();
    EXPECT_TRUE(verified->over_index);
}

TEST_F(ImageVerifier, AMissingSignatureBlobIsAnAnswer)
{
    publish();
    test::sign(source, kRepository, image.digest, trust::test_keys::kP256Private);
    fail_on("blob ", ErrorKind::kNotFound);
    EXPECT_EQ(verify().error().kind(), ErrorKind::kDenied);
}

TEST_F(ImageVerifier, RefusedCredentialsAreToldAsSuch)
{
    publish();
    fail_on("manifest " + trust::signature_tag(image.digest), ErrorKind::kDenied);
    const auto verified = verify();
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(verified.error().text(), AllOf(HasSubstr("cannot look for signatures"), HasSubstr("failed as told")));
}

TEST_F(ImageVerifier, ASignatureTagThatIsNoManifestIsDeniedWithTheReason)
{
    publish();
    const auto tag = trust::signature_tag(image.digest);
    source.add_manifest(kRepository, tag, {}, "{");
    EXPECT_THAT(verify().error().text(), HasSubstr(tag));
    EXPECT_EQ(verify().error().kind(), ErrorKind::kDenied);
    test::add_index(source, kRepository, tag, image.digest);
    EXPECT_THAT(verify().error().text(), HasSubstr("is an index"));
}

} // namespace
} // namespace sluice::daemon
