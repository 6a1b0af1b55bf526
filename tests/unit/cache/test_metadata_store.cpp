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
        .complete = false,
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
        .manifest = {std::byte{'{'}, std::byte{0}, std::byte{'}'}},
        .layers =
            {{LayerRole::kData, blob(1), {}},
             {LayerRole::kLower, blob(2), {blob(4), blob(3)}},
             {LayerRole::kLower, blob(5), {}}},
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
    EXPECT_THAT(store.images_using(digest(1)).value(), IsEmpty());
    EXPECT_TRUE(store.find_blob(digest(1)).value()) << "its data is in the cache still";
}

TEST_F(Metadata, ImagesShareBlobs)
{
    auto store = open();
    put(store, image("b"));
    put(store, image("a"));
    EXPECT_THAT(store.find_images().value(), ElementsAre(image("a"), image("b")));
    EXPECT_EQ(store.blobs().value().size(), 5U);
    EXPECT_THAT(store.images_using(digest(3)).value(), ElementsAre("a", "b"));
}

TEST_F(Metadata, OneBlobMayBeUsedTwiceInAnImage)
{
    auto store = open();
    auto twice = image("twice");
    twice.layers = {{LayerRole::kLower, blob(1), {blob(3)}}, {LayerRole::kLower, blob(2), {blob(3)}}};
    put(store, twice);
    EXPECT_EQ(store.find_image("twice").value(), twice);
    EXPECT_THAT(store.images_using(digest(3)).value(), ElementsAre("twice"));
}

TEST_F(Metadata, ARemovedImageLeavesItsBlobs)
{
    auto store = open();
    put(store, image("app:1"));
    EXPECT_TRUE(store.remove_image("app:1").value());
    EXPECT_FALSE(store.remove_image("app:1").value());
    EXPECT_FALSE(store.find_image("app:1").value());
    EXPECT_EQ(store.blobs().value().size(), 5U);
}

TEST_F(Metadata, ABlobThatChangedItsTreeIsRefusedAndNothingIsWritten)
{
    auto store = open();
    put(store, image("app:1"));
    const auto refuse = [&](auto change) {
        auto other = image("evil");
        other.layers.back().blob = blob(5);
        change(other.layers.back().blob);
        const auto done = store.put_image(other);
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().kind(), ErrorKind::kCorrupt);
        EXPECT_THAT(done.error().text(), HasSubstr(digest(5).to_string()));
        EXPECT_THAT(done.error().text(), HasSubstr("evil"));
    };
    refuse([](BlobRecord& b) { b.tree_root = digest(66); });
    refuse([](BlobRecord& b) { b.erofs_size += 4096; });
    refuse([](BlobRecord& b) { b.tree_offset += 4096; });
    refuse([](BlobRecord& b) { b.blob_size += 1; });
    EXPECT_FALSE(store.find_image("evil").value());
    EXPECT_EQ(store.find_image("app:1").value(), image("app:1"));
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
    ASSERT_TRUE(store.set_blob_complete(digest(1), true));
    const std::vector<BlobTouch> touches{{digest(1), at(5000)}, {digest(77), at(1)}, {digest(2), at(4000)}};
    ASSERT_TRUE(store.touch_blobs(touches));
    ASSERT_TRUE(store.touch_blobs({}));
    const std::vector<BlobTouch> late{{digest(1), at(4999)}};
    ASSERT_TRUE(store.touch_blobs(late));
    put(store, image("app:2"));

    const auto first = store.find_blob(digest(1)).value();
    ASSERT_TRUE(first);
    EXPECT_TRUE(first->complete);
    EXPECT_EQ(first->last_access, at(5000)) << "times never go back";
    std::vector<Digest> order;
    const auto all = store.blobs().value();
    for (const auto& known : all) {
        order.push_back(known.digest);
    }
    EXPECT_THAT(order, ElementsAre(digest(3), digest(4), digest(5), digest(2), digest(1)));
    ASSERT_TRUE(store.set_blob_complete(digest(1), false));
    EXPECT_FALSE(store.find_blob(digest(1)).value()->complete);
}

TEST_F(Metadata, TheLatestRepositoryComesFirst)
{
    auto store = open();
    auto record = image("one");
    for (const char* const repository : {"r/a", "r/b", "r/c", "r/b"}) {
        record.repository = repository;
        put(store, record);
    }
    EXPECT_THAT(store.repositories_of(digest(1)).value(), ElementsAre("r/b", "r/c", "r/a"));
    EXPECT_THAT(store.repositories_of(digest(99)).value(), IsEmpty());
}

TEST_F(Metadata, ABlobInUseIsNotForgotten)
{
    auto store = open();
    put(store, image("app:1"));
    const auto used = store.remove_blob(digest(3));
    ASSERT_FALSE(used);
    EXPECT_THAT(used.error().text(), HasSubstr("app:1"));
    ASSERT_TRUE(store.remove_image("app:1").value());
    EXPECT_TRUE(store.remove_blob(digest(3)).value());
    EXPECT_FALSE(store.remove_blob(digest(3)).value());
    EXPECT_FALSE(store.find_blob(digest(3)).value());
    EXPECT_THAT(store.repositories_of(digest(3)).value(), IsEmpty());
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
    EXPECT_THAT(opened.error().text(), HasSubstr("schema 6"));
    EXPECT_TRUE(std::filesystem::exists(file()));
}

TEST_F(Metadata, TheSchemaVersionIsTheNumberOfMigrations)
{
    (void)open();
    const auto database = sqlite::Database::open(file());
    ASSERT_TRUE(database);
    EXPECT_EQ(database->user_version().value(), static_cast<std::int64_t>(kMigrations.size()));
}

TEST_F(Metadata, AMissingDirectoryIsAnErrorAndNotDamage)
{
    const auto opened = MetadataStore::open(dir_.path() / "no" / "sluice.db");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind(), ErrorKind::kNotFound) << opened.error().text();
}

} // namespace
} // namespace sluice::cache
