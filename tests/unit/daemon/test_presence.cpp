// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/presence.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"

#include <gmock/gmock.h>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kMib = 1U << 20;
constexpr std::uint64_t kSize = 9 * kMib + 100; // three windows, the last one cut; the last block is not whole

class PresenceTest : public ::testing::Test {
protected:
    void put(ByteRange range)
    {
        const auto blocks = range.align_out(kBlockSize);
        auto full = AlignedBuffer::allocate(blocks.size());
        full.set_size(blocks.size());
        ASSERT_TRUE(handle_->write(blocks.begin(), full.bytes()));
    }

    [[nodiscard]] std::vector<ByteRange> missing(ByteRange range)
    {
        EXPECT_TRUE(look(range));
        const auto known = presence_.missing(range);
        EXPECT_TRUE(known);
        return known.value_or(std::vector<ByteRange>{});
    }

    [[nodiscard]] Result<void> look(ByteRange range)
    {
        return test::run_task(loop_, presence_.look(range)).value_or(fail(ErrorKind::kInternal, "it never ends"));
    }

    EventLoop loop_;
    WorkerPool workers_{1};
    std::shared_ptr<test::MemoryHandle> handle_ =
        std::make_shared<test::MemoryHandle>(ByteRange{0, kSize}.align_out(kBlockSize).end());
    std::shared_ptr<BackingFile> file_ = std::make_shared<BackingFile>(nullptr);
    Presence presence_{loop_, workers_, file_, kSize};

    PresenceTest() { file_->attach(handle_); }
};

TEST_F(PresenceTest, AnswersInWholeBlocksInsideOfTheBlob)
{
    EXPECT_THAT(missing({5000, 5001}), ElementsAre(ByteRange(4096, 8192)));
    EXPECT_THAT(missing({9 * kMib, 20 * kMib}), ElementsAre(ByteRange(9 * kMib, 9 * kMib + 4096)));
    EXPECT_THAT(missing({20 * kMib, 21 * kMib}), IsEmpty());
    EXPECT_THAT(missing({4096, 4096}), IsEmpty());
}

TEST_F(PresenceTest, FindsWhatWasThereBefore)
{
    put({4 * kMib - 8192, 4 * kMib + 4096});
    EXPECT_THAT(
        missing({4 * kMib - 12288, 4 * kMib + 8192}),
        ElementsAre(ByteRange(4 * kMib - 12288, 4 * kMib - 8192), ByteRange(4 * kMib + 4096, 4 * kMib + 8192))
    );
}

TEST_F(PresenceTest, HolesGoOnAcrossWindows)
{
    EXPECT_THAT(missing({0, kSize}), ElementsAre(ByteRange(0, 9 * kMib + 4096)));
}

TEST_F(PresenceTest, IsToldOfWritesAndAsksTheFileOnlyOnce)
{
    EXPECT_THAT(missing({0, 8192}), ElementsAre(ByteRange(0, 8192)));
    put({4096, 8192});
    EXPECT_THAT(missing({0, 8192}), ElementsAre(ByteRange(0, 8192))) << "remembered, not asked";
    presence_.written({4096, 8192});
    EXPECT_THAT(missing({0, 8192}), ElementsAre(ByteRange(0, 4096)));
    EXPECT_EQ(handle_->looks(), 1U);
    presence_.written({8 * kMib, 8 * kMib + 4096}); // never looked at: the file will tell
    EXPECT_THAT(missing({8 * kMib, 8 * kMib + 4096}), ElementsAre(ByteRange(8 * kMib, 8 * kMib + 4096)));
}

TEST_F(PresenceTest, KnowsNothingOfWhatNobodyHasLookedAt)
{
    EXPECT_FALSE(presence_.missing({0, 4096}));
    EXPECT_TRUE(look({0, 4096}));
    EXPECT_TRUE(presence_.missing({0, 4 * kMib}));
    EXPECT_FALSE(presence_.missing({0, 4 * kMib + 1}));
    EXPECT_EQ(presence_.windows(), 1U);
}

TEST_F(PresenceTest, WhatIsDoubtedIsAskedForAgain)
{
    EXPECT_THAT(missing({0, 8192}), ElementsAre(ByteRange(0, 8192)));
    presence_.written({0, 8192});
    EXPECT_THAT(missing({0, 8192}), IsEmpty());
    presence_.invalidate({4096, 8192});
    EXPECT_FALSE(presence_.missing({0, 8192}));
    EXPECT_THAT(missing({0, 8192}), ElementsAre(ByteRange(0, 8192)));
}

TEST_F(PresenceTest, AWriteWhileAWorkerLooksIsNotForgotten)
{
    handle_->pause_looks();
    TaskScope scope{loop_};
    std::optional<Result<void>> outcome;
    const auto start = [](Presence& presence, std::optional<Result<void>>& into) -> Task<void> {
        const ByteRange range{0, 4096};
        auto looked = co_await presence.look(range);
        into = std::move(looked);
    };
    scope.spawn(start(presence_, outcome));
    presence_.written({0, 4096}); // the worker's look came before it
    handle_->go_on();
    ASSERT_TRUE(test::run_until(loop_, [&] { return outcome.has_value(); }));
    EXPECT_THAT(presence_.missing({0, 8192}).value(), ElementsAre(ByteRange(4096, 8192)));
}

TEST_F(PresenceTest, ADoubtWhileAWorkerLooksHasItLookAgain)
{
    handle_->pause_looks();
    TaskScope scope{loop_};
    std::optional<Result<void>> outcome;
    const auto start = [](Presence& presence, std::optional<Result<void>>& into) -> Task<void> {
        const ByteRange range{0, 4096};
        auto looked = co_await presence.look(range);
        into = std::move(looked);
    };
    scope.spawn(start(presence_, outcome));
    ASSERT_TRUE(test::run_until(loop_, [&] { return handle_->looks() == 1; }));
    presence_.invalidate({0, 4096});
    handle_->go_on();
    ASSERT_TRUE(test::run_until(loop_, [&] { return outcome.has_value(); }));
    EXPECT_EQ(handle_->looks(), 2U);
    EXPECT_TRUE(presence_.missing({0, 8192}));
}

TEST_F(PresenceTest, ALookThatFailsIsToldAndTriedAgainByTheNext)
{
    file_->detach(*handle_);
    EXPECT_EQ(look({0, 4096}).error().kind(), ErrorKind::kCancelled);
    EXPECT_FALSE(presence_.missing({0, 4096}));
    file_->attach(handle_);
    EXPECT_THAT(missing({0, 4096}), ElementsAre(ByteRange(0, 4096)));
}

} // namespace
} // namespace sluice::daemon
