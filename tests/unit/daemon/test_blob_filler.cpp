// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fill_world.hpp"

#include <cerrno>
#include <gmock/gmock.h>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kBlocks = 1024; // 4 MiB

class BlobFillerTest : public test::FdLeakTest {
protected:
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

    struct World : test::FillWorld {
        World() : FillWorld{kBlocks} {}
    };

    MessageId read(ByteRange range, bool found_hole = true) { return world_->read(range, found_hole); }

    [[nodiscard]] bool answered(MessageId message) const { return world_->answered(message); }

    void wait_for(MessageId message)
    {
        ASSERT_TRUE(world_->wait_for(message));
        EXPECT_EQ(world_->times_answered.at(message), 1U);
    }

    /// Waits for the answer of a READ that is to fail.
    [[nodiscard]] Error failure_of(MessageId message)
    {
        EXPECT_TRUE(world_->wait_for(message));
        const auto& outcome = world_->answers.at(message);
        EXPECT_FALSE(outcome);
        return outcome ? Error{ErrorKind::kInternal, "it has succeeded"} : outcome.error();
    }

    [[nodiscard]] bool holds(ByteRange range) const
    {
        const auto want = world_->blob.data(range);
        return world_->handle->present().contains(range) &&
               world_->handle->content(range) == std::vector(want.begin(), want.end());
    }

    /// Data ranges that were fetched; those of the hash tree lie behind them.
    [[nodiscard]] std::vector<ByteRange> data_fetches() const
    {
        auto all = world_->source.fetched;
        std::erase_if(all, [&](ByteRange r) { return r.begin() >= world_->blob.info.tree_offset; });
        return all;
    }

    std::unique_ptr<World> world_;
};

TEST_F(BlobFillerTest, AReadBringsInExactlyItsRangeAndIsAnsweredOnce)
{
    const auto message = read({8192, 16384});
    EXPECT_FALSE(answered(message));
    wait_for(message);
    EXPECT_TRUE(holds({8192, 16384}));
    EXPECT_EQ(world_->handle->present().size(), 8192U);
    EXPECT_THAT(data_fetches(), ElementsAre(ByteRange{8192, 16384}));
}

TEST_F(BlobFillerTest, WhatIsThereIsAnsweredWithoutAFetch)
{
    wait_for(read({0, 4096}));
    const auto before = data_fetches().size();
    wait_for(read({0, 4096}));
    EXPECT_EQ(data_fetches().size(), before);
}

TEST_F(BlobFillerTest, ReadersOfOneRangeShareOneFetch)
{
    world_->source.hold();
    const auto first = read({4096, 12288});
    const auto second = read({4096, 12288});
    const auto third = read({8192, 12288});
    world_->source.release();
    wait_for(first);
    wait_for(second);
    wait_for(third);
    EXPECT_THAT(data_fetches(), SizeIs(1));
}

TEST_F(BlobFillerTest, AReaderIsAnsweredWhenItsOwnRangeIsInNotWhenAllIs)
{
    world_->policy.read.read_ahead = 2U << 20;
    world_->policy.read.first_window = 1U << 20;
    world_->open();
    wait_for(read({0, 4096}));
    wait_for(read({4096, 8192})); // sequential: more is on its way than was asked for
    EXPECT_TRUE(holds({4096, 8192}));
    EXPECT_TRUE(test::run_until(world_->loop, [&] { return world_->filler->bytes_in_flight() == 0; }));
    EXPECT_GT(world_->handle->present().size(), 8192U);
    EXPECT_TRUE(holds({0, world_->handle->present().ranges().front().end()}));
}

TEST_F(BlobFillerTest, AFailureIsAnsweredToAllWhoWaitAndLeavesTheHole)
{
    world_->source.fault = [](auto&, ByteRange) { return Error{ErrorKind::kNotFound, "the blob is gone"}; };
    world_->source.hold();
    const auto first = read({4096, 8192});
    const auto second = read({4096, 8192});
    world_->source.release();
    wait_for(first);
    wait_for(second);
    EXPECT_TRUE(world_->handle->present().empty());
    EXPECT_EQ(world_->counters.reads_failed, 2U);
    EXPECT_THAT(world_->filler->last_error()->text(), HasSubstr("the blob is gone"));
    EXPECT_EQ(failure_of(first).kind(), ErrorKind::kNotFound);
    EXPECT_EQ(failure_of(second).kind(), ErrorKind::kNotFound);
}

TEST_F(BlobFillerTest, AReaderWhoJoinsAnOlderFetchHasItsOwnTime)
{
    unsigned tries = 0;
    world_->source.fault = [&](auto&, ByteRange range) -> std::optional<Error> {
        const bool data = range == ByteRange{4096, 8192};
        return data && tries++ == 0 ? std::optional{Error{ErrorKind::kTimeout, "too slow"}} : std::nullopt;
    };
    world_->source.hold();
    world_->policy.read_deadline = milliseconds{100};
    const auto first = read({4096, 8192});
    world_->policy.read_deadline = milliseconds{30'000};
    const auto second = read({4096, 8192});
    world_->source.release();
    wait_for(first);
    wait_for(second);
    EXPECT_TRUE(holds({4096, 8192}));
    EXPECT_EQ(tries, 2U);
}

TEST_F(BlobFillerTest, ARegistryThatWantsToBeLeftAloneIsAskedOnceForAllWhoWait)
{
    world_->source.fault = [](auto&, ByteRange) { return Error{ErrorKind::kTimeout, "429; again in 3600 s"}; };
    world_->source.hold();
    const auto first = read({0, 4096});
    const auto second = read({8192, 12'288}); // a fetch of its own, and the same piece of the tree
    ASSERT_TRUE(test::run_until(world_->loop, [&] { return world_->filler->bytes_in_flight() == 8192; }));
    world_->source.release();
    for (const auto message : {first, second}) {
        EXPECT_THAT(failure_of(message).text(), HasSubstr("again in 3600 s"));
    }
    EXPECT_EQ(world_->source.fetched.size(), 1U);
}

TEST_F(BlobFillerTest, AHoleThatSomebodyPunchedIsFilledAgain)
{
    wait_for(read({4096, 8192}));
    world_->handle->punch_hole({4096, 8192});
    wait_for(read({4096, 8192}));
    EXPECT_TRUE(holds({4096, 8192}));
}

TEST_F(BlobFillerTest, AnAskerThatLooksByItselfIsAnsweredFromMemory)
{
    wait_for(read({4096, 8192}, false));
    const auto looks = world_->handle->looks();
    EXPECT_TRUE(answered(read({4096, 8192}, false)));
    EXPECT_EQ(world_->handle->looks(), looks);
    world_->handle->punch_hole({4096, 8192});
    EXPECT_TRUE(answered(read({4096, 8192}, false))); // it is the asker who looks,
    wait_for(read({4096, 8192}, true));               // and tells
    EXPECT_TRUE(holds({4096, 8192}));
}

TEST_F(BlobFillerTest, OnlyWhatAReaderWaitsForIsUrgent)
{
    world_->policy.read.read_ahead = 1U << 20;
    world_->open();
    wait_for(read({0, 65536}));
    wait_for(read({65536, 131072}));
    using enum sluice::Urgency;
    for (std::size_t i = 0; i < world_->source.fetched.size(); ++i) {
        const auto range = world_->source.fetched[i];
        const bool tree = range.begin() >= world_->blob.info.tree_offset;
        EXPECT_EQ(world_->source.urgencies[i], tree || range.begin() < 131072 ? kDemand : kReadahead)
            << range.to_string();
    }
    EXPECT_THAT(world_->source.urgencies, ::testing::Contains(kReadahead));
}

TEST_F(BlobFillerTest, TheKernelsRetryAfterAFailureIsAnsweredAtOnce)
{
    world_->policy.failure_memory = std::chrono::hours{1};
    world_->source.fault = [](auto&, ByteRange) { return Error{ErrorKind::kTransient, "down"}; };
    wait_for(read({4096, 8192}));
    const auto fetches = world_->source.fetched.size();
    EXPECT_TRUE(answered(read({4096, 8192})));
    EXPECT_EQ(world_->source.fetched.size(), fetches);
}

TEST_F(BlobFillerTest, AfterTheFailureMemoryReadsWorkAgain)
{
    world_->policy.failure_memory = milliseconds{0};
    world_->source.fault = [](auto&, ByteRange) { return Error{ErrorKind::kTransient, "down"}; };
    EXPECT_EQ(failure_of(read({4096, 8192})).kind(), ErrorKind::kTransient);
    world_->source.fault = nullptr;
    wait_for(read({4096, 8192}));
    EXPECT_TRUE(holds({4096, 8192}));
}

TEST_F(BlobFillerTest, ABlockThatDoesNotMatchIsFetchedOnceMore)
{
    unsigned hurt = 0;
    world_->source.tamper = [&](std::uint64_t offset, std::span<std::byte> bytes) {
        if (offset == 8192 && hurt++ == 0) {
            bytes[5] ^= std::byte{1};
        }
    };
    wait_for(read({8192, 12288}));
    EXPECT_TRUE(holds({8192, 12288}));
    EXPECT_EQ(world_->counters.verify_failures, 1U);
}

TEST_F(BlobFillerTest, ATamperedBlockIsNeverWritten)
{
    world_->source.tamper = [](std::uint64_t offset, std::span<std::byte> bytes) {
        if (ByteRange{offset, offset + bytes.size()}.contains({8192, 12288})) {
            bytes[8192 - offset] ^= std::byte{0x80};
        }
    };
    wait_for(read({4096, 16384}));
    EXPECT_FALSE(world_->handle->present().overlaps({8192, 12288}));
    EXPECT_EQ(world_->counters.reads_failed, 1U);
    EXPECT_THAT(world_->filler->last_error()->text(), HasSubstr("offset 8192"));
    // It was fetched again, and nothing else was; the rest of its chunk is none the worse.
    EXPECT_THAT(data_fetches(), ElementsAre(ByteRange{4096, 16384}, ByteRange{8192, 12288}));
    EXPECT_EQ(world_->counters.verify_failures, 2U);
    EXPECT_TRUE(holds({4096, 8192}));
    EXPECT_TRUE(holds({12288, 16384}));
    wait_for(read({4096, 8192}));
    EXPECT_EQ(world_->counters.reads_failed, 1U);
    EXPECT_EQ(failure_of(read({8192, 12288})).kind(), ErrorKind::kCorrupt); // remembered, and so not asked for at once
    EXPECT_EQ(world_->counters.reads_failed, 2U);
    wait_for(read({16384, 20480}));
    EXPECT_TRUE(holds({16384, 20480}));
    EXPECT_EQ(world_->counters.reads_failed, 2U);
}

TEST_F(BlobFillerTest, EachOfSeveralBadBlocksHasItsSecondChance)
{
    unsigned hurt = 0;
    world_->source.tamper = [&](std::uint64_t offset, std::span<std::byte> bytes) {
        for (const std::uint64_t bad : {std::uint64_t{4096}, std::uint64_t{12288}, std::uint64_t{20480}}) {
            // The middle one is bad for ever, the others once.
            if (ByteRange{offset, offset + bytes.size()}.contains({bad, bad + 4096}) && (hurt++ < 3 || bad == 12288)) {
                bytes[bad - offset] ^= std::byte{1};
            }
        }
    };
    wait_for(read({0, 32768}));
    EXPECT_TRUE(holds({0, 12288}));
    EXPECT_TRUE(holds({16384, 32768}));
    EXPECT_FALSE(world_->handle->present().overlaps({12288, 16384}));
    EXPECT_EQ(world_->counters.verify_failures, 4U);
    EXPECT_THAT(
        data_fetches(),
        ElementsAre(ByteRange{0, 32768}, ByteRange{4096, 8192}, ByteRange{12288, 16384}, ByteRange{20480, 24576})
    );
}

TEST_F(BlobFillerTest, AnotherRepositoryIsAskedForTheBadBlocksAlone)
{
    world_->blob.info.repositories = {"mirror.test/app", "registry.test/app"};
    world_->open();
    bool mirror = false;
    world_->source.fault = [&](const fetcher::BlobLocation& where, ByteRange) -> std::optional<Error> {
        mirror = where.repository.starts_with("mirror");
        return std::nullopt;
    };
    world_->source.tamper = [&](std::uint64_t offset, std::span<std::byte> bytes) {
        if (mirror && ByteRange{offset, offset + bytes.size()}.contains({8192, 12288})) {
            bytes[8192 - offset] ^= std::byte{1};
        }
    };
    wait_for(read({4096, 16384}));
    EXPECT_TRUE(holds({4096, 16384}));
    EXPECT_THAT(data_fetches(), ElementsAre(ByteRange{4096, 16384}, ByteRange{8192, 12288}));
    EXPECT_EQ(world_->counters.reads_failed, 0U);
}

TEST_F(BlobFillerTest, ATamperedTreeProvesNothing)
{
    const auto tree_begin = world_->blob.info.tree_offset;
    world_->source.tamper = [=](std::uint64_t offset, std::span<std::byte> bytes) {
        if (offset + bytes.size() > tree_begin) {
            bytes.back() ^= std::byte{1};
        }
    };
    world_->blob.bytes.back() = std::byte{0};
    wait_for(read({0, 4096}));
    EXPECT_TRUE(world_->handle->present().empty());
    EXPECT_GE(world_->counters.verify_failures, 1U);
}

TEST_F(BlobFillerTest, TheNextRepositoryIsAskedWhenOneFails)
{
    world_->blob.info.repositories = {"mirror.test/app", "registry.test/app"};
    world_->open();
    world_->source.fault = [](const fetcher::BlobLocation& where, ByteRange) {
        return where.repository.starts_with("mirror") ? std::optional{Error{ErrorKind::kNotFound, "not here"}}
                                                      : std::nullopt;
    };
    wait_for(read({4096, 8192}));
    EXPECT_TRUE(holds({4096, 8192}));
}

TEST_F(BlobFillerTest, AFullDiskFailsTheReadAndTheNextOneWorks)
{
    world_->policy.failure_memory = milliseconds{0};
    world_->handle->fail_writes(Error::from_errno(ENOSPC, "write"));
    EXPECT_EQ(failure_of(read({4096, 8192})).kind(), ErrorKind::kNoSpace);
    EXPECT_EQ(world_->counters.reads_failed, 1U);
    EXPECT_EQ(world_->counters.write_failures, 1U);
    world_->handle->fail_writes(std::nullopt);
    wait_for(read({4096, 8192}));
    EXPECT_TRUE(holds({4096, 8192}));
}

TEST_F(BlobFillerTest, ADeadlineThatPassesIsAnswered)
{
    world_->policy.read_deadline = milliseconds{20};
    world_->source.hold();
    EXPECT_EQ(failure_of(read({4096, 8192})).kind(), ErrorKind::kTimeout);
    EXPECT_EQ(world_->counters.deadline_misses, 1U);
    EXPECT_TRUE(world_->handle->present().empty());
    world_->source.release();
}

TEST_F(BlobFillerTest, ClosingCancelsFetchesAndAnswersReads)
{
    wait_for(read({0, 4096})); // the tree is there
    world_->source.hold();
    const auto first = read({4096, 8192});
    const auto second = read({65536, 69632});
    EXPECT_TRUE(test::run_until(world_->loop, [&] { return world_->source.running > 0; }));
    world_->filler.reset();
    EXPECT_TRUE(answered(first));
    EXPECT_TRUE(answered(second));
    EXPECT_EQ(world_->source.running, 0U);
}

TEST_F(BlobFillerTest, ReadsBeyondTheEndAreAnsweredWithoutData)
{
    const auto end = world_->blob.info.erofs_size;
    EXPECT_TRUE(answered(read({end, end + 4096})));
    EXPECT_THAT(world_->source.fetched, IsEmpty());
    wait_for(read({end - 4096, end + 4096}));
    EXPECT_TRUE(holds({end - 4096, end}));
}

TEST_F(BlobFillerTest, ABlobThatIsClosedLeavesNoReaderAsleepAndTheOthersGoOn)
{
    world_->source.hold();
    const int one = 0;
    const int other = 0;
    const auto first = world_->read({4096, 8192}, true, &one);
    const auto second = world_->read({4096, 8192}, true, &other);
    ASSERT_TRUE(test::run_until(world_->loop, [&] { return world_->source.running > 0; }));
    world_->filler->drop(&one);
    EXPECT_EQ(failure_of(first).kind(), ErrorKind::kCancelled);
    EXPECT_FALSE(answered(second));
    world_->source.release();
    wait_for(second);
    EXPECT_TRUE(world_->answers.at(second));
}

TEST_F(BlobFillerTest, AThousandReadsAtOnceAreAllAnswered)
{
    std::vector<MessageId> messages;
    for (std::uint64_t i = 0; i < kBlocks; ++i) {
        const auto block = (i * 389) % kBlocks;
        messages.push_back(read({block * kBlockSize, (block + 1) * kBlockSize}));
    }
    EXPECT_TRUE(test::run_until(world_->loop, [&] { return world_->answers.size() == kBlocks; }));
    EXPECT_TRUE(holds({0, world_->blob.info.erofs_size}));
    EXPECT_LE(world_->buffers.bytes_taken(), 1U << 20);
}

} // namespace
} // namespace sluice::daemon
