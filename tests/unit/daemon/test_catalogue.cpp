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
    EventLoop loop_;
    BufferPool buffers_{1 << 20, 64 * 1024};
    WorkerPool workers_{1};
    test::FakeSource source_{loop_, buffers_};
    Counters counters_;
    FillServices services_{loop_, workers_, source_, nullptr, counters_};
    Catalogue catalogue_{services_};
    test::FakeBlob blob_{130};
};

TEST_F(CatalogueTest, FindsABlobByItsCookie)
{
    ASSERT_TRUE(catalogue_.add(blob_.info));
    const auto* entry = catalogue_.find_cookie(blob_.info.digest.hex());
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->tree->blob().erofs_size, blob_.info.erofs_size);
}

TEST_F(CatalogueTest, KnowsNothingOfOtherCookies)
{
    ASSERT_TRUE(catalogue_.add(blob_.info));
    EXPECT_EQ(catalogue_.find_cookie(std::string(64, '0')), nullptr);
    EXPECT_EQ(catalogue_.find_cookie("rootfs.img"), nullptr);
    EXPECT_EQ(catalogue_.find_cookie(blob_.info.digest.to_string()), nullptr);
    EXPECT_EQ(catalogue_.find_cookie(""), nullptr);
}

TEST_F(CatalogueTest, OneBlobInTwoRepositoriesIsOneEntryTheNewestFirst)
{
    const auto first = catalogue_.add(blob_.info);
    auto elsewhere = blob_.info;
    elsewhere.repositories = {"other.test/app"};
    const auto second = catalogue_.add(elsewhere);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(*first, *second);
    EXPECT_THAT((*second)->blob().repositories, ElementsAre("other.test/app", "registry.test/app"));
}

TEST_F(CatalogueTest, AWrongCandidateKeepsTheRightOneNotOut)
{
    auto wrong = blob_.info;
    wrong.root = Digest{};
    const auto candidate = catalogue_.candidate(wrong);
    ASSERT_TRUE(candidate);
    EXPECT_EQ(catalogue_.find(wrong.digest), nullptr);
    ASSERT_TRUE(catalogue_.add(blob_.info));
    EXPECT_FALSE(catalogue_.add(*candidate, wrong.repositories));
    EXPECT_EQ(catalogue_.find(wrong.digest)->tree->blob().root, blob_.info.root);
}

TEST_F(CatalogueTest, RefusesASecondTruthAboutABlob)
{
    ASSERT_TRUE(catalogue_.add(blob_.info));
    auto other = blob_.info;
    other.root = Digest{};
    const auto added = catalogue_.add(other);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(added.error().text(), HasSubstr("another image describes it"));
}

TEST_F(CatalogueTest, RefusesATreeThatDoesNotFit)
{
    auto cut = blob_.info;
    cut.blob_size -= 1;
    EXPECT_EQ(catalogue_.add(cut).error().kind(), ErrorKind::kInvalid);
    auto odd = blob_.info;
    odd.erofs_size += 1;
    EXPECT_FALSE(catalogue_.add(odd));
}

} // namespace
} // namespace sluice::daemon
