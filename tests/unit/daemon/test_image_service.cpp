// SPDX-License-Identifier: Apache-2.0
#include "cache/sqlite.hpp"
#include "tests/unit/daemon/image_world.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>

namespace sluice::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ImageServiceTest : public ImageWorld {
protected:
    /// Every insertion of an image fails, as on a full disk.
    void break_database()
    {
        const auto database = cache::sqlite::Database::open(this->database());
        ASSERT_TRUE(database) << database.error().text();
        const auto broken = database->execute("CREATE TRIGGER full BEFORE INSERT ON images BEGIN "
                                              "SELECT RAISE(FAIL, 'database or disk is full'); END");
        ASSERT_TRUE(broken) << broken.error().text();
    }
};

TEST_F(ImageServiceTest, ASignedImageIsRegisteredAndItsBlobsMayBeServed)
{
    start();
    const auto device = test::add_layer(source, test::device_bytes(3, 9), "device");
    const auto layer = test::add_layer(source, test::ErofsBytes{.devices = {3}}.bytes());
    const auto upper = test::add_layer(source, test::ErofsBytes{.compressed = true, .seed = 5}.bytes());
    const auto digest = publish({device, layer, upper});
    const auto image = ensure();
    ASSERT_TRUE(image) << image.error().text();
    EXPECT_EQ(image->reference, name_of());
    EXPECT_EQ(image->manifest_digest, digest);
    EXPECT_EQ(image->signer_name, "team.pem");
    ASSERT_THAT(image->layers, SizeIs(2));
    EXPECT_EQ(image->layers[0].blob.digest.to_string(), layer["digest"].get<std::string>());
    EXPECT_FALSE(image->layers[0].blob.compressed);
    ASSERT_THAT(image->layers[0].devices, SizeIs(1));
    EXPECT_EQ(image->layers[0].devices[0].digest.to_string(), device["digest"].get<std::string>());
    EXPECT_TRUE(image->layers[1].blob.compressed);
    EXPECT_THAT(catalogue->entries(), SizeIs(3));
    EXPECT_THAT(images->images(), SizeIs(1));
}

TEST_F(ImageServiceTest, AKnownImageNeedsNoRegistry)
{
    start();
    publish_simple();
    ASSERT_TRUE(ensure());
    source.asked.clear();
    ASSERT_TRUE(ensure());
    restart();
    const auto image = ensure();
    ASSERT_TRUE(image) << image.error().text();
    EXPECT_THAT(source.asked, ::testing::IsEmpty());
    EXPECT_THAT(catalogue->entries(), SizeIs(1));
}

TEST_F(ImageServiceTest, ARefreshAsksTheRegistryAnew)
{
    start();
    const auto first = publish_simple("1", 1);
    ASSERT_TRUE(ensure());
    const auto second = publish_simple("1", 2);
    EXPECT_EQ(ensure()->manifest_digest, first);
    EXPECT_EQ(ensure("1", true)->manifest_digest, second);
    restart();
    EXPECT_EQ(ensure()->manifest_digest, second);
}

TEST_F(ImageServiceTest, AFailedRefreshKeepsWhatWasRegistered)
{
    start();
    const auto first = publish_simple();
    ASSERT_TRUE(ensure());
    fail_on("manifest 1", ErrorKind::kTransient);
    EXPECT_EQ(ensure("1", true).error().kind(), ErrorKind::kTransient);
    EXPECT_EQ(ensure()->manifest_digest, first);
}

TEST_F(ImageServiceTest, AskersOfOneImageShareItsRegistration)
{
    start();
    publish_simple();
    source.hold();
    std::vector<std::optional<Result<cache::ImageRecord>>> outcomes(3);
    TaskScope scope{loop};

    struct Collect {
        static Task<void> into(std::optional<Result<cache::ImageRecord>>& out, Task<Result<cache::ImageRecord>> inner)
        {
            auto outcome = co_await inner;
            out.emplace(std::move(outcome));
        }
    };

    for (auto& outcome : outcomes) {
        ImageService::Request request{name_of(), false, false};
        scope.spawn(Collect::into(outcome, images->ensure(std::move(request))));
    }
    ASSERT_TRUE(test::run_until(loop, [&] { return source.running == 1; }));
    source.release();
    ASSERT_TRUE(test::run_until(loop, [&] { return outcomes[0] && outcomes[1] && outcomes[2]; }));
    for (const auto& outcome : outcomes) {
        EXPECT_TRUE(*outcome);
    }
    EXPECT_EQ(source.count_asked("manifest 1"), 1U);
    EXPECT_EQ(source.count_asked("range "), 2U) << "one hash block, and one block of the image";
}

TEST_F(ImageServiceTest, AForgottenImageStaysForgotten)
{
    start();
    publish_simple();
    ASSERT_TRUE(ensure());
    ASSERT_TRUE(forget());
    EXPECT_THAT(images->images(), SizeIs(0));
    EXPECT_EQ(forget().error().kind(), ErrorKind::kNotFound);
    restart();
    EXPECT_THAT(images->images(), SizeIs(0));
}

TEST_F(ImageServiceTest, WhatNoImageHasAnyMoreIsForgottenWithItsTree)
{
    start();
    const auto shared = test::add_layer(source, test::ErofsBytes{.seed = 1}.bytes());
    const auto own = test::add_layer(source, test::ErofsBytes{.seed = 2}.bytes());
    const auto newer = test::add_layer(source, test::ErofsBytes{.seed = 3}.bytes());
    publish({shared, own}, "1");
    publish({shared}, "2");
    ASSERT_TRUE(ensure("1"));
    ASSERT_TRUE(ensure("2"));
    const auto is_known = [&](const Json& layer) {
        const auto digest = Digest::parse(layer["digest"].get<std::string>());
        EXPECT_TRUE(digest);
        return catalogue->find_digest(*digest).has_value();
    };
    std::map<std::string, std::filesystem::path> trees_by_digest;
    const auto note_trees = [&] {
        for (const auto& [identity, entry] : catalogue->entries()) {
            trees_by_digest.emplace(entry.info.digest.to_string(), dir.path() / identity.hex());
        }
    };
    const auto tree_of = [&](const Json& layer) { return trees_by_digest.at(layer["digest"].get<std::string>()); };
    note_trees();
    ASSERT_TRUE(test::run_until(loop, [&] { return exists(tree_of(own)) && exists(tree_of(shared)); }));

    publish({shared, newer}, "1");
    ASSERT_TRUE(ensure("1", true));
    EXPECT_FALSE(is_known(own));
    EXPECT_TRUE(is_known(shared));
    EXPECT_TRUE(is_known(newer));
    note_trees();
    EXPECT_TRUE(test::run_until(loop, [&] { return !exists(tree_of(own)); }));
    ASSERT_TRUE(forget("1"));
    EXPECT_FALSE(is_known(newer));
    EXPECT_TRUE(is_known(shared));
    EXPECT_TRUE(test::run_until(loop, [&] { return !exists(tree_of(newer)); }));
    EXPECT_TRUE(exists(tree_of(shared)));
    ASSERT_TRUE(forget("2"));
    EXPECT_THAT(catalogue->entries(), SizeIs(0));
    EXPECT_TRUE(test::run_until(loop, [&] { return !exists(tree_of(shared)); }));
    EXPECT_TRUE(exists(database())) << "no tree by its name";
}

TEST_F(ImageServiceTest, TreesThatNobodyHasAreSweptAtTheStart)
{
    const auto stray = dir.write(std::string(64, 'a'), "a tree of a forgotten image");
    start();
    EXPECT_TRUE(test::run_until(loop, [&] { return !exists(stray); }));
}

TEST_F(ImageServiceTest, AnImageWhoseKeyIsNoLongerTrustedIsNotServed)
{
    start();
    publish_simple();
    ASSERT_TRUE(ensure());
    keys = trust::KeyRing{};
    trust_key(trust::test_keys::kP384Public);
    ::testing::internal::CaptureStderr();
    restart();
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr(name_of()));
    EXPECT_THAT(images->images(), SizeIs(0));
    EXPECT_THAT(catalogue->entries(), SizeIs(0));
    EXPECT_EQ(ensure().error().kind(), ErrorKind::kDenied);
}

TEST_F(ImageServiceTest, NothingIsServedThatCouldNotBeStored)
{
    start();
    publish_simple();
    break_database();
    ::testing::internal::CaptureStderr();
    const auto image = ensure();
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("is not registered"));
    ASSERT_FALSE(image);
    EXPECT_THAT(image.error().text(), HasSubstr("database or disk is full"));
    EXPECT_THAT(catalogue->entries(), SizeIs(0));
    EXPECT_THAT(images->images(), SizeIs(0));
}

TEST_F(ImageServiceTest, TheWholeRegistrationObeysOneDeadline)
{
    options.deadline = milliseconds{1};
    start();
    publish_simple();
    source.hold(); // for ever
    const auto image = ensure();
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().kind(), ErrorKind::kTimeout);
    EXPECT_THAT(image.error().text(), HasSubstr("registering the image"));
    EXPECT_EQ(source.running, 0U) << "what was under way is cancelled";
}

TEST_F(ImageServiceTest, CompressedLayersAreCompletedWithTheirDevicesBeforeTheAnswer)
{
    options.needs_complete = true;
    start();
    const auto plain = test::add_layer(source, test::ErofsBytes{.seed = 3}.bytes());
    const auto device = test::add_layer(source, test::device_bytes(2, 9), "device");
    const auto layer = test::add_layer(source, test::ErofsBytes{.compressed = true, .devices = {2}}.bytes());
    publish({plain, device, layer});
    ASSERT_TRUE(ensure());
    const auto is_complete = [&](const Json& descriptor) {
        const auto info = catalogue->find_digest(*Digest::parse(descriptor["digest"].get<std::string>())).value();
        const auto blob = blobs->use(*info).value();
        EXPECT_TRUE(*test::run_task(loop, blob->open_file()));
        return test::run_task(loop, blob->is_complete())->value();
    };
    EXPECT_FALSE(is_complete(plain));
    EXPECT_TRUE(is_complete(device));
    EXPECT_TRUE(is_complete(layer));
    ImageService::Request lazily{name_of(), true, false};
    const auto refused = test::run_task(loop, images->ensure(std::move(lazily)));
    ASSERT_TRUE(refused && !*refused);
    EXPECT_EQ(refused->error().kind(), ErrorKind::kUnsupported);
}

TEST_F(ImageServiceTest, WhoAsksForAllOfAnImageGetsAnAnswerWhenItIsThere)
{
    start();
    const auto layer = test::add_layer(source, test::ErofsBytes{.seed = 3}.bytes());
    const auto device = test::add_layer(source, test::device_bytes(2, 9), "device");
    const auto above = test::add_layer(source, test::ErofsBytes{.devices = {2}}.bytes());
    publish({layer, device, above});
    ImageService::Request request{name_of(), false, false};
    request.complete = true;
    const auto answer = test::run_task(loop, images->ensure(std::move(request)));
    ASSERT_TRUE(answer && *answer) << (answer ? answer->error().text() : "no answer");
    for (const auto& descriptor : {layer, device, above}) {
        const auto info = catalogue->find_digest(*Digest::parse(descriptor["digest"].get<std::string>())).value();
        const auto blob = blobs->use(*info).value();
        EXPECT_TRUE(*test::run_task(loop, blob->open_file()));
        EXPECT_TRUE(test::run_task(loop, blob->is_complete())->value());
    }
}

TEST_F(ImageServiceTest, AFailedCompletionNamesTheImageAndIsTriedAgain)
{
    options.needs_complete = true;
    policy.failure_memory = milliseconds{0};
    start();
    const auto layer = test::add_layer(source, test::ErofsBytes{.compressed = true}.bytes());
    publish({layer});
    source.tamper = [&](const Digest&, std::uint64_t offset, std::span<std::byte> bytes) {
        if (ByteRange{offset, offset + bytes.size()}.contains({kBlockSize, 2 * kBlockSize})) {
            bytes[kBlockSize - offset] ^= std::byte{1};
        }
    };
    const auto failed = ensure();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(failed.error().text(), AllOf(HasSubstr(name_of()), HasSubstr("cannot complete")));
    source.tamper = nullptr;
    EXPECT_TRUE(ensure());
}

TEST_F(ImageServiceTest, AReferenceThatIsNoneIsRefused)
{
    start();
    ImageService::Request request{"UPPER//case", false, false};
    const auto refused = test::run_task(loop, images->ensure(std::move(request)));
    ASSERT_TRUE(refused && !*refused);
    EXPECT_EQ(refused->error().kind(), ErrorKind::kInvalid);
    EXPECT_THAT(source.asked, ::testing::IsEmpty());
}

} // namespace
} // namespace sluice::daemon
