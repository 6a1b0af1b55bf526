// SPDX-License-Identifier: Apache-2.0
//
// One blob, opened by several front ends, which share all that there is of it.
#include "daemon/blob/blobs.hpp"
#include "daemon/blob/tree_budget.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/only.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class Answers final : public protocol::Answerer {
public:
    void answer_open(ObjectId, MessageId, Result<protocol::OpenedBlob>) override {}

    void answer_read(ObjectId, MessageId message, Result<void> outcome) override
    {
        outcomes.emplace(message, std::move(outcome));
    }

    std::map<MessageId, Result<void>> outcomes;
};

class BlobTest : public test::FdLeakTest {
protected:
    struct World {
        World()
        {
            policy.read.read_ahead = 0;
            policy.read.metadata_window = kBlockSize;
            policy.read.random_window = kBlockSize;
            source.add(content);
            blob = blobs.use(content.info).value();
        }

        MessageId read(BlobReader& by, ByteRange range, bool found_hole = true)
        {
            const MessageId message{next_message++};
            by.read(range, found_hole, protocol::PendingRead{answers, ObjectId{1}, message});
            return message;
        }

        /// Waits for the answer; the bytes of data that had to be fetched for it.
        [[nodiscard]] std::uint64_t fetched_for(MessageId message)
        {
            EXPECT_TRUE(test::run_until(loop, [&] { return answers->outcomes.contains(message); }));
            EXPECT_TRUE(answers->outcomes.at(message));
            return counters.bytes_fetched - std::exchange(counted, counters.bytes_fetched);
        }

        [[nodiscard]] std::vector<ByteRange> data_fetches() const
        {
            auto all = source.fetched;
            std::erase_if(all, [&](ByteRange r) { return r.begin() >= content.info.tree_offset; });
            return all;
        }

        EventLoop loop;
        test::TempDir dir;
        BufferPool buffers{1 << 20, 64 * 1024};
        WorkerPool workers{2};
        test::FakeBlob content{64};
        test::FakeSource source{loop, buffers};
        Counters counters;
        TreeBudget budget{16U << 20};
        fetcher::MirrorSet mirrors{loop, test::only(source)};
        FillServices services{
            loop,
            workers,
            mirrors,
            nullptr,
            counters,
            budget,
            nullptr,
            {dir.path(), dir.path() / "private", volume_of("sluice")}};
        FillPolicy policy;
        Blobs blobs{services, policy};
        std::shared_ptr<Blob> blob;
        std::shared_ptr<test::MemoryHandle> handle = std::make_shared<test::MemoryHandle>(64 * kBlockSize);
        std::shared_ptr<Answers> answers = std::make_shared<Answers>();
        std::uint32_t next_message = 0;
        std::uint64_t counted = 0;
    };

    void SetUp() override
    {
        FdLeakTest::SetUp();
        world_ = std::make_unique<World>();
    }

    void TearDown() override
    {
        world_.reset();
        FdLeakTest::TearDown();
    }

    std::unique_ptr<World> world_;
};

TEST_F(BlobTest, BytesThatTwoFrontEndsMissAtTheSameMomentAreFetchedOnce)
{
    const auto one = world_->blob->open("cachefiles", world_->handle);
    const auto other = world_->blob->open("library", nullptr);
    world_->source.hold();
    const auto first = world_->read(*one, {4096, 12288});
    const auto second = world_->read(*other, {4096, 12288});
    world_->source.release();
    EXPECT_EQ(world_->fetched_for(first) + world_->fetched_for(second), 8192U);
    EXPECT_THAT(world_->data_fetches(), ElementsAre(ByteRange(4096, 12288)));
}

TEST_F(BlobTest, WhatOneFrontEndHasBroughtInTheOtherDoesNotFetch)
{
    const auto one = world_->blob->open("cachefiles", world_->handle);
    const auto other = world_->blob->open("library", nullptr);
    EXPECT_EQ(world_->fetched_for(world_->read(*other, {0, 4096}, false)), 4096U);
    EXPECT_EQ(world_->fetched_for(world_->read(*one, {4096, 16384})), 12288U);
    EXPECT_EQ(world_->fetched_for(world_->read(*other, {4096, 16384}, false)), 0U);
    EXPECT_EQ(world_->fetched_for(world_->read(*other, {4096, 20480}, false)), 4096U);
}

TEST_F(BlobTest, AHandleThatLacksWhatIsThereGetsItToo)
{
    const auto full = std::make_shared<test::MemoryHandle>(64 * kBlockSize);
    const auto one = world_->blob->open("fuse", full);
    EXPECT_EQ(world_->fetched_for(world_->read(*one, {0, 8192})), 8192U);
    const auto other = world_->blob->open("cachefiles", world_->handle); // a kernel that has made a file of its own
    EXPECT_EQ(world_->fetched_for(world_->read(*other, {0, 8192})), 8192U);
    EXPECT_TRUE(world_->handle->present().contains({0, 8192}));
    EXPECT_EQ(world_->fetched_for(world_->read(*one, {8192, 12288})), 4096U);
    EXPECT_TRUE(world_->handle->present().contains({8192, 12288}));
    EXPECT_TRUE(full->present().contains({8192, 12288}));
}

TEST_F(BlobTest, KnowsWhoHasItOpen)
{
    EXPECT_THAT(world_->blob->users(), IsEmpty());
    const auto one = world_->blob->open("fuse", world_->handle);
    auto two = world_->blob->open("library", nullptr);
    const auto three = world_->blob->open("library", nullptr);
    EXPECT_THAT(world_->blob->users(), ElementsAre(Pair("fuse", 1U), Pair("library", 2U)));
    two.reset();
    EXPECT_THAT(world_->blob->users(), ElementsAre(Pair("fuse", 1U), Pair("library", 1U)));
}

TEST_F(BlobTest, WhoeverClosesItIsAnsweredAndTheOthersGoOn)
{
    auto one = world_->blob->open("fuse", world_->handle);
    const auto other = world_->blob->open("library", nullptr);
    world_->source.hold();
    const auto first = world_->read(*one, {4096, 8192});
    const auto second = world_->read(*other, {4096, 8192});
    ASSERT_TRUE(test::run_until(world_->loop, [&] { return world_->source.running > 0; }));
    const auto second_handle = std::make_shared<test::MemoryHandle>(64 * kBlockSize);
    const auto third = world_->blob->open("cachefiles", second_handle);
    one.reset();
    ASSERT_TRUE(world_->answers->outcomes.contains(first));
    EXPECT_EQ(world_->answers->outcomes.at(first).error().kind(), ErrorKind::kCancelled);
    world_->source.release();
    EXPECT_GT(world_->fetched_for(second), 0U);
    EXPECT_TRUE(second_handle->present().contains({4096, 8192}));
}

TEST_F(BlobTest, ItLivesAsLongAsSomebodyHasItAndNoLonger)
{
    const auto identity = world_->blob->identity();
    auto reader = world_->blob->open("fuse", world_->handle);
    world_->blob.reset();
    EXPECT_NE(world_->blobs.find(identity), nullptr);
    EXPECT_EQ(world_->blobs.use(world_->content.info).value().get(), &reader->blob());
    reader.reset();
    EXPECT_EQ(world_->blobs.find(identity), nullptr);
}

TEST_F(BlobTest, TwoTruthsAboutOneDigestAreTwoBlobsThatShareNothing)
{
    auto lie = world_->content.info;
    lie.root = Digest{};
    EXPECT_NE(identity_of(lie), identity_of(world_->content.info));
    const auto other = world_->blobs.use(lie).value();
    EXPECT_NE(other, world_->blob);
    const auto reader = world_->blob->open("fuse", world_->handle);
    const auto liar = other->open("fuse", std::make_shared<test::MemoryHandle>(64 * kBlockSize));
    const auto proved = world_->read(*reader, {0, 4096});
    const auto refused = world_->read(*liar, {0, 4096});
    ASSERT_TRUE(test::run_until(world_->loop, [&] { return world_->answers->outcomes.size() == 2; }));
    EXPECT_TRUE(world_->answers->outcomes.at(proved));
    EXPECT_EQ(world_->answers->outcomes.at(refused).error().kind(), ErrorKind::kCorrupt);
}

TEST_F(BlobTest, ItsIdentityIsAllThatDecidesAboutItsBytes)
{
    const auto& right = world_->content.info;
    std::vector<BlobInfo> others(5, right);
    others[0].digest = Digest{};
    others[1].root = Digest{};
    ++others[2].blob_size;
    others[3].erofs_size += kBlockSize;
    ++others[4].tree_offset;
    for (const auto& other : others) {
        EXPECT_NE(identity_of(other), identity_of(right));
    }
    auto elsewhere = right;
    elsewhere.repositories = {"other.test/app"};
    elsewhere.compressed = true;
    EXPECT_EQ(identity_of(elsewhere), identity_of(right));
    EXPECT_THAT(cookie_of(right), SizeIs(64));
}

TEST_F(BlobTest, CompletingBringsInEverythingAndKeepsWhatWasThere)
{
    const auto first = test::run_task(world_->loop, world_->blob->proved_bytes({0, kBlockSize}));
    ASSERT_TRUE(first && *first);
    const auto want = world_->content.data({0, kBlockSize});
    EXPECT_TRUE(std::ranges::equal(**first, want));
    const auto before = test::run_task(world_->loop, world_->blob->is_complete());
    ASSERT_TRUE(before && *before);
    EXPECT_FALSE(**before);
    const auto completed = test::run_task(world_->loop, world_->blob->complete());
    ASSERT_TRUE(completed && *completed) << (*completed).error().text();
    const auto after = test::run_task(world_->loop, world_->blob->is_complete());
    EXPECT_TRUE(**after);
    EXPECT_EQ(world_->counters.bytes_fetched, world_->content.info.erofs_size);
}

TEST_F(BlobTest, AnotherImageMayBringItsRepositoryWhileAFetchTriesTheKnownOnes)
{
    // Long enough to lie on the heap: what is freed under the fetch is seen by the address sanitizer.
    const std::string first = "mirror.test/a-repository-that-no-longer-has-the-blob";
    const std::string second = "registry.test/the-repository-that-still-has-the-blob";
    world_->blob->set_repositories({first, second});
    std::vector<std::string> asked;
    world_->source.fault = [&](const fetcher::BlobLocation& where, ByteRange) {
        asked.push_back(where.repository);
        return where.repository == second ? std::nullopt : std::optional{Error{ErrorKind::kNotFound, "not here"}};
    };
    world_->source.hold();
    const auto reader = world_->blob->open("fuse", world_->handle); // loads the top of the tree
    ASSERT_TRUE(test::run_until(world_->loop, [&] { return world_->source.running == 1; }));
    world_->blob->add_repositories({"other.test/an-image-that-was-registered-meanwhile", "yet-another.test/app"});
    world_->source.release();
    ASSERT_TRUE(test::run_until(world_->loop, [&] { return asked.size() == 2; }));
    EXPECT_THAT(asked, ElementsAre(first, second));
}

} // namespace
} // namespace sluice::daemon
