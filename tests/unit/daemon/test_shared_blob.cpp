// SPDX-License-Identifier: Apache-2.0
//
// One blob, opened by two front ends: each has a filler of its own, and both fill the same file.
#include "tests/support/fill_world.hpp"

namespace sluice::daemon {
namespace {

class SharedBlobTest : public test::FdLeakTest {
protected:
    void SetUp() override
    {
        FdLeakTest::SetUp();
        world_ = std::make_unique<test::FillWorld>(64);
        tree_ = *BlobTree::make(world_->services, world_->blob.info);
    }

    void TearDown() override
    {
        tree_.reset();
        world_.reset();
        FdLeakTest::TearDown();
    }

    [[nodiscard]] std::unique_ptr<BlobFiller> open() const
    {
        return std::make_unique<BlobFiller>(world_->services, world_->policy, tree_, world_->handle);
    }

    /// Waits for the answer; the bytes of data that had to be fetched for it.
    [[nodiscard]] std::uint64_t read(BlobFiller& by, ByteRange range, bool found_hole)
    {
        const auto before = world_->counters.bytes_fetched;
        EXPECT_TRUE(world_->wait_for(world_->read(by, range, found_hole)));
        return world_->counters.bytes_fetched - before;
    }

    std::unique_ptr<test::FillWorld> world_;
    std::shared_ptr<BlobTree> tree_;
};

TEST_F(SharedBlobTest, WhatOneFrontEndHasWrittenTheOtherDoesNotFetchThoughItRemembersAHole)
{
    const auto one = open();
    const auto other = open();
    EXPECT_EQ(read(*other, {0, 4096}, false), 4096U); // and now it knows the holes around it
    EXPECT_EQ(read(*one, {4096, 16384}, true), 12288U);
    EXPECT_EQ(read(*other, {4096, 16384}, false), 0U);
    EXPECT_EQ(read(*other, {4096, 20480}, false), 4096U);
}

TEST_F(SharedBlobTest, AFrontEndThatHasClosedTheBlobHearsNothingMore)
{
    const auto one = open();
    auto other = open();
    EXPECT_EQ(read(*other, {0, 4096}, false), 4096U);
    other.reset();
    EXPECT_EQ(read(*one, {4096, 8192}, true), 4096U);
    EXPECT_TRUE(world_->handle->present().contains({0, 8192}));
}

} // namespace
} // namespace sluice::daemon
