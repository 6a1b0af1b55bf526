// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/catalogue.hpp"
#include "tests/support/fake_blob.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CatalogueTest : public ::testing::Test {
protected:
    Catalogue catalogue_;
    BlobInfo blob_ = test::FakeBlob{130}.info;
};

TEST_F(CatalogueTest, FindsABlobByItsCookie)
{
    catalogue_.add(blob_);
    const auto* entry = catalogue_.find_cookie(cookie_of(blob_));
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->info.erofs_size, blob_.erofs_size);
}

TEST_F(CatalogueTest, KnowsNothingOfOtherCookies)
{
    catalogue_.add(blob_);
    EXPECT_EQ(catalogue_.find_cookie(std::string(64, '0')), nullptr);
    EXPECT_EQ(catalogue_.find_cookie("rootfs.img"), nullptr);
    EXPECT_EQ(catalogue_.find_cookie(blob_.digest.hex()), nullptr) << "the digest is not the identity";
    EXPECT_EQ(catalogue_.find_cookie(""), nullptr);
}

TEST_F(CatalogueTest, OneBlobInTwoRepositoriesIsOneEntryTheNewestFirst)
{
    catalogue_.add(blob_);
    auto elsewhere = blob_;
    elsewhere.repositories = {"other.test/app"};
    const auto& entry = catalogue_.add(elsewhere);
    EXPECT_EQ(catalogue_.entries().size(), 1U);
    EXPECT_THAT(entry.info.repositories, ElementsAre("other.test/app", "registry.test/app"));
}

TEST_F(CatalogueTest, ABlobThatOneImageCallsCompressedIsCompressed)
{
    catalogue_.add(blob_);
    auto compressed = blob_;
    compressed.compressed = true;
    EXPECT_TRUE(catalogue_.add(compressed).info.compressed);
    EXPECT_TRUE(catalogue_.add(blob_).info.compressed);
}

TEST_F(CatalogueTest, AManifestThatLiesAboutABlobKeepsTheTrueOneNotOut)
{
    auto lie = blob_;
    lie.root = Digest{};
    catalogue_.add(lie);
    catalogue_.add(blob_);
    const auto* entry = catalogue_.find_cookie(cookie_of(blob_));
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->info.root, blob_.root);
    EXPECT_EQ(catalogue_.find_cookie(cookie_of(lie))->info.root, Digest{});
}

TEST_F(CatalogueTest, ADigestIsAnAnswerOnlyWhileManifestsAgreeAboutIt)
{
    EXPECT_EQ(catalogue_.find_digest(blob_.digest).error().kind(), ErrorKind::kNotFound);
    catalogue_.add(blob_);
    EXPECT_EQ(catalogue_.find_digest(blob_.digest).value()->root, blob_.root);
    auto lie = blob_;
    lie.root = Digest{};
    catalogue_.add(lie);
    const auto found = catalogue_.find_digest(blob_.digest);
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error().text(), HasSubstr("disagree"));
    catalogue_.remove(identity_of(lie));
    EXPECT_TRUE(catalogue_.find_digest(blob_.digest));
    EXPECT_EQ(catalogue_.find_cookie(cookie_of(lie)), nullptr);
}

} // namespace
} // namespace sluice::daemon
