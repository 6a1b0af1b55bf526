// SPDX-License-Identifier: Apache-2.0
//
// What is believed of the database after a restart: only what its signatures prove.
#include "base/text.hpp"
#include "cache/metadata_store.hpp"
#include "cache/sqlite.hpp"
#include "daemon/image/blob_records.hpp"
#include "daemon/image/image_evidence.hpp"
#include "tests/unit/daemon/image_world.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ImageEvidence : public ImageWorld {
protected:
    /// Restarts with the database as these statements leave it; what was logged then.
    std::string restart_edited(const std::string& sql)
    {
        stop();
        {
            const auto database = cache::sqlite::Database::open(this->database());
            EXPECT_TRUE(database) << database.error().text();
            const auto edited = database->execute(sql.c_str());
            EXPECT_TRUE(edited) << edited.error().text();
        }
        ::testing::internal::CaptureStderr();
        start();
        return ::testing::internal::GetCapturedStderr();
    }

    /// The image as the database has it.
    cache::ImageRecord stored(const std::string& tag = "1")
    {
        stop();
        auto opened = cache::MetadataStore::open(database());
        EXPECT_TRUE(opened);
        auto found = opened->store.find_image(name_of(tag)).value();
        EXPECT_TRUE(found);
        return found.value_or(cache::ImageRecord{});
    }

    void expect_not_served(ErrorKind kind, const std::string& why, const cache::ImageRecord& image)
    {
        const auto proved = reprove(image, keys, options.platform);
        ASSERT_FALSE(proved);
        EXPECT_EQ(proved.error().kind(), kind);
        EXPECT_THAT(proved.error().text(), HasSubstr(why));
    }

    static std::vector<std::byte> bytes_of(std::string_view text)
    {
        const auto bytes = as_byte_span(text);
        return {bytes.begin(), bytes.end()};
    }
};

TEST_F(ImageEvidence, AnImageSignedByItsIndexIsServedAfterARestart)
{
    start();
    const auto manifest =
        test::add_image(source, kRepository, {}, {test::add_layer(source, test::ErofsBytes{}.bytes())});
    const auto index = test::add_index(source, kRepository, "1", manifest);
    test::sign(source, kRepository, index, trust::test_keys::kP256Private);
    auto before = ensure();
    ASSERT_TRUE(before) << before.error().text();
    source.asked.clear();
    EXPECT_THAT(restart_edited(""), IsEmpty());
    const auto after = ensure();
    ASSERT_TRUE(after) << after.error().text();
    auto& blob = before->layers.at(0).blob;
    blob.last_access = after->layers.at(0).blob.last_access;
    EXPECT_GT(blob.last_access, cache::WallTime{}) << "a stop writes down what was used";
    EXPECT_EQ(*after, *before);
    EXPECT_EQ(after->index_digest, index);
    EXPECT_THAT(source.asked, IsEmpty());
}

TEST_F(ImageEvidence, RowsThatWereChangedAreDerivedFromTheSignedManifest)
{
    start();
    publish_simple();
    const auto before = ensure();
    ASSERT_TRUE(before);
    EXPECT_THAT(
        restart_edited("UPDATE blobs SET tree_root = zeroblob(32), erofs_size = 4096;"
                       "UPDATE images SET repository = 'evil.test/app', manifest_digest = zeroblob(32),"
                       "    signer_name = 'somebody', signer_key = 'sha256:00'"),
        HasSubstr(name_of() + ": its rows in the database are not what its signed manifest says")
    );
    ASSERT_THAT(images->images(), SizeIs(1));
    const auto& after = images->images().at(name_of());
    EXPECT_EQ(after, *before);
    const auto* entry = catalogue->find(identity_of(before->layers[0].blob));
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->info.root, before->layers[0].blob.tree_root);
    EXPECT_THAT(entry->info.repositories, ::testing::ElementsAre(kRepository));
}

TEST_F(ImageEvidence, LayersThatWereTakenAwayComeBack)
{
    start();
    publish(
        {test::add_layer(source, test::ErofsBytes{}.bytes()),
         test::add_layer(source, test::ErofsBytes{.seed = 2}.bytes())}
    );
    ASSERT_TRUE(ensure());
    (void)restart_edited("DELETE FROM image_layers WHERE position = 0");
    EXPECT_THAT(images->images().at(name_of()).layers, SizeIs(2));
    EXPECT_THAT(catalogue->entries(), SizeIs(2));
}

TEST_F(ImageEvidence, AManifestThatWasChangedIsNotServed)
{
    start();
    publish_simple();
    ASSERT_TRUE(ensure());
    auto image = stored();
    auto manifest = std::string{as_text(image.evidence.manifest)};
    const auto root = image.layers[0].blob.tree_root.to_string();
    manifest.replace(manifest.find(root), root.size(), Digest{}.to_string());
    image.evidence.manifest = bytes_of(manifest);
    expect_not_served(ErrorKind::kDenied, "signed for", image);
    EXPECT_THAT(
        restart_edited("UPDATE images SET manifest = x'7b7d'"),
        HasSubstr(name_of() + " is not served: what the database")
    );
    EXPECT_THAT(images->images(), IsEmpty());
    EXPECT_THAT(catalogue->entries(), IsEmpty());
}

TEST_F(ImageEvidence, TheNameOfATrustedKeyIsNoSignature)
{
    trust_key(trust::test_keys::kP384Public);
    start();
    const auto digest =
        test::add_image(source, kRepository, "1", {test::add_layer(source, test::ErofsBytes{}.bytes())});
    test::sign(source, kRepository, digest, trust::test_keys::kP384Private);
    ASSERT_TRUE(ensure());
    keys = trust::KeyRing{};
    trust_key(trust::test_keys::kP256Public);
    const auto logged =
        restart_edited(fmt::format("UPDATE images SET signer_key = '{}'", keys.keys().front().key.id().to_string()));
    EXPECT_THAT(
        logged, AllOf(HasSubstr(name_of() + " is not served"), HasSubstr("no trusted key made this signature"))
    );
    EXPECT_THAT(images->images(), IsEmpty());
}

TEST_F(ImageEvidence, AKeyThatMayNoLongerSignForTheRepositoryProvesNothing)
{
    trust_key(trust::test_keys::kP256Public);
    start();
    const auto digest =
        test::add_image(source, kRepository, "1", {test::add_layer(source, test::ErofsBytes{}.bytes())});
    test::sign(source, kRepository, digest, trust::test_keys::kP256Private);
    ASSERT_TRUE(ensure());
    keys = trust::KeyRing{};
    keys.add(*trust::PublicKey::parse(trust::test_keys::kP256Public, "team.pem"), {"elsewhere.example"});
    EXPECT_THAT(
        restart_edited("UPDATE images SET signer_name = 'x'"),
        AllOf(HasSubstr(name_of() + " is not served"), HasSubstr("key team.pem may not sign for " + kRepository))
    );
    EXPECT_THAT(images->images(), IsEmpty());
}

TEST_F(ImageEvidence, AnotherImagesSignatureProvesNothing)
{
    start();
    publish_simple("1", 1);
    publish_simple("2", 2);
    ASSERT_TRUE(ensure("1"));
    ASSERT_TRUE(ensure("2"));
    auto image = stored("1");
    const auto other = stored("2");
    image.evidence.payload = other.evidence.payload;
    image.evidence.signature = other.evidence.signature;
    expect_not_served(ErrorKind::kDenied, "signed for " + other.manifest_digest.to_string(), image);
}

TEST_F(ImageEvidence, AReferenceByDigestMeansThatDigest)
{
    start();
    publish_simple("1", 1);
    const auto second = publish_simple("2", 2);
    ASSERT_TRUE(ensure("1"));
    auto image = stored("1");
    image.reference = kRepository + "@" + second.to_string();
    expect_not_served(ErrorKind::kCorrupt, "not the one that is asked for", image);
    image.reference = kRepository + "@" + image.manifest_digest.to_string();
    EXPECT_TRUE(reprove(image, keys, options.platform));
    image.reference = "app";
    expect_not_served(ErrorKind::kCorrupt, "its name is no reference", image);
}

TEST_F(ImageEvidence, AnIndexMustNameTheManifestForThisPlatform)
{
    start();
    const auto first = test::add_image(source, kRepository, {}, {test::add_layer(source, test::ErofsBytes{}.bytes())});
    const auto second =
        test::add_image(source, kRepository, {}, {test::add_layer(source, test::ErofsBytes{.seed = 2}.bytes())});
    test::sign(source, kRepository, test::add_index(source, kRepository, "1", first), trust::test_keys::kP256Private);
    test::sign(source, kRepository, test::add_index(source, kRepository, "2", second), trust::test_keys::kP256Private);
    ASSERT_TRUE(ensure("1"));
    ASSERT_TRUE(ensure("2"));
    auto image = stored("1");
    const auto other = stored("2");
    image.evidence.manifest = other.evidence.manifest;
    expect_not_served(ErrorKind::kCorrupt, "the manifest is not the one", image);
    image.evidence.indexes = {image.evidence.manifest};
    expect_not_served(ErrorKind::kCorrupt, "an index is not the one", image);
    image = stored("1");
    image.evidence.indexes.clear();
    expect_not_served(ErrorKind::kDenied, "signed for", image);
    image = stored("1");
    auto elsewhere = options.platform;
    elsewhere.architecture = "s390x";
    EXPECT_EQ(reprove(image, keys, elsewhere).error().kind(), ErrorKind::kCorrupt);
}

TEST_F(ImageEvidence, WhatWasStoredWithoutItsSignatureIsVerifiedAgainAtTheNextMount)
{
    start();
    publish_simple("1", 1);
    publish_simple("2", 2);
    ASSERT_TRUE(ensure("1"));
    ASSERT_TRUE(ensure("2"));
    EXPECT_THAT(
        restart_edited("UPDATE images SET signature = '', signature_payload = x''"),
        AllOf(HasSubstr("2 images were stored by an earlier version"), Not(HasSubstr("is not served")))
    );
    EXPECT_THAT(images->images(), IsEmpty());
    EXPECT_THAT(catalogue->entries(), IsEmpty());
    ASSERT_TRUE(ensure("1"));
    EXPECT_THAT(restart_edited(""), HasSubstr("1 images were stored"));
    EXPECT_THAT(images->images(), SizeIs(1));
}

TEST_F(ImageEvidence, ManyImagesAreProvedByAllWorkers)
{
    start();
    for (int i = 0; i < 40; ++i) {
        publish_simple(fmt::format("{}", i), static_cast<unsigned char>(i));
        ASSERT_TRUE(ensure(fmt::format("{}", i)));
    }
    (void)restart_edited("UPDATE images SET manifest = x'' WHERE reference LIKE '%:17'");
    EXPECT_THAT(images->images(), SizeIs(39));
    EXPECT_FALSE(images->images().contains(name_of("17")));
}

TEST_F(ImageEvidence, ACompressedImageThatTheDatabaseCallsPlainIsCompletedAllTheSame)
{
    options.needs_complete = true;
    start();
    publish({test::add_layer(source, test::ErofsBytes{.compressed = true}.bytes())});
    ImageService::Request lazily{name_of(), true, false};
    const auto refused = test::run_task(loop, images->ensure(std::move(lazily)));
    ASSERT_TRUE(refused && !*refused); // registered, and not completed
    (void)restart_edited("UPDATE blobs SET compressed = 0");
    ASSERT_FALSE(images->images().at(name_of()).layers[0].blob.compressed);
    const auto image = ensure();
    ASSERT_TRUE(image) << image.error().text();
    EXPECT_TRUE(image->layers[0].blob.compressed);
    const auto blob = blobs->use(catalogue->entries().begin()->second.info).value();
    EXPECT_TRUE(*test::run_task(loop, blob->open_file()));
    EXPECT_TRUE(test::run_task(loop, blob->is_complete())->value());
}

} // namespace
} // namespace sluice::daemon
