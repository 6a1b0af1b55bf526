// SPDX-License-Identifier: Apache-2.0
//
// One blob, opened by two front ends: each has a filler of its own, and both fill the same file.
#include "daemon/blob_filler.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"

#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

constexpr std::uint64_t kBlocks = 64;

struct World {
    World()
    {
        source.add(blob);
        policy.read.read_ahead = 0;
        policy.read.metadata_window = kBlockSize;
        policy.read.random_window = kBlockSize;
    }

    /// Waits for the answer; the bytes of data that had to be fetched for it.
    std::uint64_t read(BlobFiller& by, ByteRange range, bool found_hole)
    {
        const auto before = counters.bytes_fetched;
        const MessageId message{next_message++};
        by.read(range, protocol::PendingRead{answerer, ObjectId{1}, message}, found_hole);
        EXPECT_TRUE(test::run_until(loop, [&] { return answerer->answers.contains(message); }));
        return counters.bytes_fetched - before;
    }

    EventLoop loop;
    BufferPool buffers{1 << 20, 64 * 1024};
    WorkerPool workers{2};
    test::FakeBlob blob{kBlocks};
    test::FakeSource source{loop, buffers};
    Counters counters;
    FillServices services{loop, workers, source, nullptr, counters};
    FillPolicy policy;
    std::shared_ptr<test::MemoryHandle> handle = std::make_shared<test::MemoryHandle>(kBlocks * kBlockSize);
    std::shared_ptr<test::CountingAnswerer> answerer = std::make_shared<test::CountingAnswerer>();
    std::uint32_t next_message = 0;
};

class SharedBlobTest : public test::FdLeakTest {};

TEST_F(SharedBlobTest, WhatOneFrontEndHasWrittenTheOtherDoesNotFetchThoughItRemembersAHole)
{
    World world;
    const auto tree = BlobTree::make(world.services, world.blob.info);
    ASSERT_TRUE(tree);
    BlobFiller one{world.services, world.policy, *tree, world.handle};
    BlobFiller other{world.services, world.policy, *tree, world.handle};
    EXPECT_EQ(world.read(other, {0, 4096}, false), 4096U); // and now it knows the holes around it
    EXPECT_EQ(world.read(one, {4096, 16384}, true), 12288U);
    EXPECT_EQ(world.read(other, {4096, 16384}, false), 0U);
    EXPECT_EQ(world.read(other, {4096, 20480}, false), 4096U);
}

TEST_F(SharedBlobTest, AFrontEndThatHasClosedTheBlobHearsNothingMore)
{
    World world;
    const auto tree = BlobTree::make(world.services, world.blob.info);
    ASSERT_TRUE(tree);
    BlobFiller one{world.services, world.policy, *tree, world.handle};
    {
        BlobFiller other{world.services, world.policy, *tree, world.handle};
        EXPECT_EQ(world.read(other, {0, 4096}, false), 4096U);
    }
    EXPECT_EQ(world.read(one, {4096, 8192}, true), 4096U);
    EXPECT_TRUE(world.handle->present().contains({0, 8192}));
}

} // namespace
} // namespace sluice::daemon
