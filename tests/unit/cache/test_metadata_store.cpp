// SPDX-License-Identifier: Apache-2.0
#include "cache/metadata_store.hpp"
#include "cache/schema.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <chrono>
#include <cstdint>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

namespace sluice::cache {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Digest digest(int seed)
{
    Digest::Bytes bytes{};
    bytes.fill(static_cast<std::byte>(seed));
    return Digest{bytes};
}

WallTime at(std::int64_t seconds)
{
    return WallTime{std::chrono::seconds{seconds}};
}

BlobRecord blob(int seed)
{
    const auto size = static_cast<std::uint64_t>(seed) * 4096;
    return {
        .digest = digest(seed),
        .blob_size = size + 8192,
        .erofs_size = size,
        .tree_root = digest(seed + 100),
        .tree_offset = size,
        .compressed = seed % 2 == 0,
        .last_access = at(1000 + seed),
    };
}

ImageRecord image(std::string reference)
{
    return {
        .reference = std::move(reference),
        .repository = "registry.example/app",
        .manifest_digest = digest(200),
        .index_digest = digest(201),
        .signer_key = "sha256:abc",
        .signer_name = "vendor",
        .verified_at = at(1'700'000'000),
        .layers =
            {{LayerRole::kData, blob(1), {}},
             {LayerRole::kLower, blob(2), {blob(4), blob(3)}},
             {LayerRole::kLower, blob(5), {}}},
        .evidence =
            {.manifest = {std::byte{'{'}, std::byte{0}, std::byte{'}'}},
             .indexes = {{std::byte{'1'}}, {std::byte{'2'}, std::byte{0}}},
             .payload = {std::byte{0xff}, std::byte{0}},
             .signature = "c2lnbmF0dXJl"},
    };
}

class Metadata : public test::FdLeakTest {
protected:
    [[nodiscard]] std::filesystem::path file() const { return dir_.path() / "sluice.db"; }

    [[nodiscard]] MetadataStore open() const
    {
        auto opened = MetadataStore::open(file());
        EXPECT_TRUE(opened) << opened.error().text();
        EXPECT_FALSE(opened->moved_aside) << opened->damage;
        return std::move(opened->store);
    }

    static void put(MetadataStore& store, const ImageRecord& record)
    {
        const auto done = store.put_image(record);
        EXPECT_TRUE(done) << done.error().text();
    }

    test::TempDir dir_;
};

TEST_F(Metadata, AnImageComesBackWholeAfterARestart)
{
    {
        auto store = open();
        put(store, image("app:1"));
    }
    const auto store = open();
    const auto found = store.find_image("app:1").value();
    ASSERT_TRUE(found);
    EXPECT_EQ(*found, image("app:1"));
    EXPECT_FALSE(store.find_image("app:2").value());
}

TEST_F(Metadata, WhatIsOptionalMayBeMissing)
{
    auto store = open();
    ImageRecord bare;
    bare.reference = "bare";
    put(store, bare);
    EXPECT_EQ(store.find_image("bare").value(), bare);
}

TEST_F(Metadata, PuttingAReferenceAgainReplacesIt)
{
    auto store = open();
    put(store, image("app:1"));
    auto newer = image("app:1");
    newer.manifest_digest = digest(210);
    newer.layers = {{LayerRole::kLower, blob(9), {}}};
    put(store, newer);
    EXPECT_EQ(store.find_image("app:1").value(), newer);
    EXPECT_EQ(store.find_images().value().size(), 1U);
}

TEST_F(Metadata, ImagesShareBlobs)
{
    auto store = open();
    put(store, image("b"));
    put(store, image("a"));
    EXPECT_THAT(store.find_images().value(), ElementsAre(image("a"), image("b")));
    EXPECT_EQ(store.blobs().value().size(), 5U);
}

TEST_F(Metadata, OneBlobMayBeUsedTwiceInAnImage)
{
    auto store = open();
    auto twice = image("twice");
    twice.layers = {{LayerRole::kLower, blob(1), {blob(3)}}, {LayerRole::kLower, blob(2), {blob(3)}}};
    put(store, twice);
    EXPECT_EQ(store.find_image("twice").value(), twice);
    EXPECT_EQ(store.blobs().value().size(), 3U);
}

TEST_F(Metadata, BlobsGoWithTheLastImageThatHasThem)
{
    auto store = open();
    auto small = image("small");
    small.layers = {{LayerRole::kLower, blob(9), {blob(3)}}};
    put(store, image("app:1"));
    put(store, small);
    EXPECT_EQ(store.blobs().value().size(), 6U);
    EXPECT_TRUE(store.remove_image("app:1").value());
    EXPECT_FALSE(store.remove_image("app:1").value());
    EXPECT_FALSE(store.find_image("app:1").value());
    EXPECT_THAT(store.blobs().value(), ::testing::UnorderedElementsAre(blob(9), blob(3)));
    small.layers = {{LayerRole::kLower, blob(3), {}}};
    put(store, small);
    EXPECT_THAT(store.blobs().value(), ElementsAre(blob(3)));
}

TEST_F(Metadata, ImagesThatDisagreeAboutADigestSpeakOfDifferentBlobs)
{
    auto store = open();
    put(store, image("app:1"));
    std::size_t blobs = 5;
    const auto differ = [&](auto change) {
        auto other = image("other");
        other.layers = {{LayerRole::kLower, blob(5), {}}};
        change(other.layers.back().blob);
        other.reference += std::to_string(++blobs);
        put(store, other);
        EXPECT_EQ(store.find_image(other.reference).value(), other);
        EXPECT_EQ(store.find_image("app:1").value(), image("app:1"));
        EXPECT_EQ(store.blobs().value().size(), blobs);
    };
    differ([](BlobRecord& b) { b.tree_root = digest(66); });
    differ([](BlobRecord& b) { b.erofs_size += 4096; });
    differ([](BlobRecord& b) { b.tree_offset += 4096; });
    differ([](BlobRecord& b) { b.blob_size += 1; });
}

TEST_F(Metadata, ABlobIsCompressedWhenAnyImageSaysSo)
{
    auto store = open();
    auto as_device = image("device");
    as_device.layers = {{LayerRole::kLower, blob(1), {blob(2)}}};
    as_device.layers[0].devices[0].compressed = false;
    put(store, as_device);
    put(store, image("app:1"));
    put(store, as_device);
    EXPECT_TRUE(store.find_image("device").value()->layers[0].devices[0].compressed);
}

TEST_F(Metadata, SizesThatFitNoFileAreRefused)
{
    auto store = open();
    auto huge = image("huge");
    huge.layers.front().blob.blob_size = std::numeric_limits<std::uint64_t>::max();
    const auto done = store.put_image(huge);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind(), ErrorKind::kInvalid);
    EXPECT_FALSE(store.find_image("huge").value());
}

TEST_F(Metadata, WhatIsKnownOfABlobOutlivesItsRegistration)
{
    auto store = open();
    put(store, image("app:1"));
    const std::vector<BlobTouch> touches{{blob(1).key(), at(5000)}, {blob(77).key(), at(1)}, {blob(2).key(), at(4000)}};
    ASSERT_TRUE(store.touch_blobs(touches));
    ASSERT_TRUE(store.touch_blobs({}));
    const std::vector<BlobTouch> late{{blob(1).key(), at(4999)}};
    ASSERT_TRUE(store.touch_blobs(late));
    put(store, image("app:2"));

    std::vector<Digest> order;
    const auto all = store.blobs().value();
    for (const auto& known : all) {
        order.push_back(known.digest);
    }
    EXPECT_THAT(order, ElementsAre(digest(3), digest(4), digest(5), digest(2), digest(1)));
    EXPECT_EQ(all.back().last_access, at(5000)) << "times never go back";
}

TEST_F(Metadata, StrangeNamesAreJustNames)
{
    auto store = open();
    auto odd = image("x'; DROP TABLE images; --\n\xff");
    put(store, odd);
    EXPECT_EQ(store.find_image(odd.reference).value(), odd);
}

TEST_F(Metadata, ADamagedDatabaseIsMovedAsideAndBegunAnew)
{
    {
        auto store = open();
        put(store, image("app:1"));
    }
    {
        std::fstream damage{file(), std::ios::binary | std::ios::in | std::ios::out};
        damage.seekp(100);
        damage << std::string(std::filesystem::file_size(file()) - 100, 'x');
    }
    std::filesystem::path aside;
    for (int n = 0; n < 2; ++n) { // twice within a second: neither replaces the other
        auto opened = MetadataStore::open(file());
        ASSERT_TRUE(opened) << opened.error().text();
        ASSERT_TRUE(opened->moved_aside);
        EXPECT_NE(*opened->moved_aside, aside);
        aside = *opened->moved_aside;
        EXPECT_THAT(aside.filename().string(), ::testing::StartsWith("sluice.db.corrupt-"));
        EXPECT_TRUE(std::filesystem::exists(aside));
        EXPECT_THAT(opened->damage, HasSubstr(file().string()));
        EXPECT_THAT(opened->store.find_images().value(), IsEmpty());
        put(opened->store, image("app:1"));
        opened = fail(ErrorKind::kCancelled, "closed");
        if (n == 0) {
            std::ofstream{file(), std::ios::binary} << std::string(4096, '?');
        }
    }
    EXPECT_TRUE(open().find_image("app:1").value());
}

TEST_F(Metadata, ANewerSchemaIsRefusedAndLeftAlone)
{
    (void)open();
    {
        const auto database = sqlite::Database::open(file());
        ASSERT_TRUE(database && database->set_user_version(static_cast<std::int64_t>(kMigrations.size()) + 5));
    }
    const auto opened = MetadataStore::open(file());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(opened.error().text(), HasSubstr(file().string()));
    EXPECT_THAT(opened.error().text(), HasSubstr("schema 7"));
    EXPECT_TRUE(std::filesystem::exists(file()));
}

TEST_F(Metadata, TheSchemaVersionIsTheNumberOfMigrations)
{
    (void)open();
    const auto database = sqlite::Database::open(file());
    ASSERT_TRUE(database);
    EXPECT_EQ(database->user_version().value(), static_cast<std::int64_t>(kMigrations.size()));
}

/// A database as the first version left it, with one image of two layers that share a device.
void make_version_1(const std::filesystem::path& file)
{
    const auto database = sqlite::Database::open(file);
    ASSERT_TRUE(database && database->execute(kMigrations[0]) && database->set_user_version(1));
    const auto filled = database->execute(R"sql(
        INSERT INTO images VALUES ('app:1', 'registry.example/app', zeroblob(32), NULL, 'sha256:abc', 'vendor', 1700, x'7b7d');
        INSERT INTO blobs VALUES
            (randomblob(32), 8192, 4096, randomblob(32), 4096, 1, 0, 11),
            (randomblob(32), 8193, 4096, randomblob(32), 4096, 0, 1, 12),
            (randomblob(32), 8194, 4096, randomblob(32), 4096, 0, 0, 13),
            (randomblob(32), 8195, 4096, randomblob(32), 4096, 0, 0, 14);
        INSERT INTO blob_repositories SELECT digest, 'registry.example/app', 1 FROM blobs;
        INSERT INTO image_layers SELECT 'app:1', 0, 0, 'lower', digest FROM blobs WHERE blob_size = 8192;
        INSERT INTO image_layers SELECT 'app:1', 0, 1, 'device', digest FROM blobs WHERE blob_size = 8193;
        INSERT INTO image_layers SELECT 'app:1', 1, 0, 'data', digest FROM blobs WHERE blob_size = 8194;
        INSERT INTO image_layers SELECT 'app:1', 1, 1, 'device', digest FROM blobs WHERE blob_size = 8193;
    )sql");
    ASSERT_TRUE(filled) << filled.error().text();
}

TEST_F(Metadata, ADatabaseOfTheFirstVersionIsBroughtUpToDateAndKeepsWhatItHas)
{
    make_version_1(file());
    auto store = open();
    const auto found = store.find_image("app:1").value();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->repository, "registry.example/app");
    EXPECT_EQ(found->verified_at, at(1700));
    EXPECT_EQ(found->evidence.manifest.size(), 2U);
    EXPECT_THAT(found->evidence.signature, IsEmpty());
    EXPECT_THAT(found->evidence.payload, IsEmpty());
    EXPECT_THAT(found->evidence.indexes, IsEmpty());
    ASSERT_EQ(found->layers.size(), 2U);
    EXPECT_EQ(found->layers[0].blob.blob_size, 8192U);
    EXPECT_TRUE(found->layers[0].blob.compressed);
    EXPECT_EQ(found->layers[0].blob.last_access, at(11));
    ASSERT_EQ(found->layers[0].devices.size(), 1U);
    EXPECT_EQ(found->layers[0].devices[0].blob_size, 8193U);
    EXPECT_EQ(found->layers[1].role, LayerRole::kData);
    EXPECT_EQ(found->layers[1].devices, found->layers[0].devices);
    EXPECT_EQ(store.blobs().value().size(), 4U);

    put(store, image("app:1"));
    EXPECT_EQ(store.find_image("app:1").value(), image("app:1"));
    EXPECT_TRUE(store.remove_image("app:1").value());
}

TEST_F(Metadata, AnEmptyDatabaseOfTheFirstVersionIsBroughtUpToDate)
{
    {
        const auto database = sqlite::Database::open(file());
        ASSERT_TRUE(database && database->execute(kMigrations[0]) && database->set_user_version(1));
    }
    auto store = open();
    put(store, image("app:1"));
    EXPECT_EQ(store.find_image("app:1").value(), image("app:1"));
}

TEST_F(Metadata, AMissingDirectoryIsAnErrorAndNotDamage)
{
    const auto opened = MetadataStore::open(dir_.path() / "no" / "sluice.db");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind(), ErrorKind::kNotFound) << opened.error().text();
}

} // namespace
} // namespace sluice::cache
