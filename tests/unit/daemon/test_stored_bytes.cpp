// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/presence.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace sluice::daemon {
namespace {

constexpr std::uint64_t kBlocks = 10'000;

class StoredBytesTest : public ::testing::Test {
protected:
    StoredBytesTest() { file_->attach(handle_); }

    void put(std::uint64_t first, std::uint64_t end)
    {
        auto full = AlignedBuffer::allocate((end - first) * kBlockSize);
        full.set_size((end - first) * kBlockSize);
        ASSERT_TRUE(handle_->write(first * kBlockSize, full.bytes()));
    }

    /// As whoever fills the blob does it.
    void put_and_tell(std::uint64_t first, std::uint64_t end)
    {
        put(first, end);
        presence_.written({first * kBlockSize, end * kBlockSize});
    }

    /// In blocks.
    [[nodiscard]] std::uint64_t stored()
    {
        const auto bytes = test::run_task(loop_, presence_.stored_bytes());
        EXPECT_TRUE(bytes && *bytes);
        return **bytes / kBlockSize;
    }

    /// In blocks, where `meanwhile` happens while the worker has its answer and keeps it.
    [[nodiscard]] std::uint64_t stored_with(const std::function<void()>& meanwhile)
    {
        handle_->pause_looks();
        const auto before = handle_->looks();
        std::optional<Result<std::uint64_t>> bytes;
        TaskScope tasks{loop_};

        struct Collect {
            static Task<void> into(std::optional<Result<std::uint64_t>>& out, Task<Result<std::uint64_t>> task)
            {
                auto outcome = co_await task;
                out = std::move(outcome);
            }
        };

        tasks.spawn(Collect::into(bytes, presence_.stored_bytes()));
        EXPECT_TRUE(test::run_until(loop_, [&] { return handle_->looks() > before; }));
        meanwhile();
        handle_->go_on();
        EXPECT_TRUE(test::run_until(loop_, [&] { return bytes.has_value(); }) && *bytes);
        return **bytes / kBlockSize;
    }

    EventLoop loop_;
    WorkerPool workers_{1};
    std::shared_ptr<test::MemoryHandle> handle_ = std::make_shared<test::MemoryHandle>(kBlocks * kBlockSize);
    std::shared_ptr<BackingFile> file_ = std::make_shared<BackingFile>(nullptr);
    Presence presence_{loop_, workers_, file_, kBlocks* kBlockSize};
};

TEST_F(StoredBytesTest, TheFileIsAskedOnceHoweverOftenSomebodyWantsToKnow)
{
    put(3, 5);
    EXPECT_EQ(stored(), 2U);
    EXPECT_EQ(stored(), 2U);
    put_and_tell(4, 8);
    EXPECT_EQ(stored(), 5U) << "a block that was there already counts once";
    put_and_tell(0, kBlocks);
    EXPECT_EQ(stored(), kBlocks);
    EXPECT_EQ(handle_->looks(), 1U);
}

TEST_F(StoredBytesTest, WhatIsDoubtedIsAskedForAgain)
{
    put(0, 8);
    EXPECT_EQ(stored(), 8U);
    handle_->punch_hole({0, 4 * kBlockSize});
    put(100, 200); // nobody doubts this
    presence_.invalidate({0, kBlockSize});
    EXPECT_EQ(stored(), 7U);
    presence_.invalidate({0, kBlocks * kBlockSize});
    EXPECT_EQ(stored(), 104U);
    EXPECT_EQ(handle_->looks(), 3U);
}

TEST_F(StoredBytesTest, WhatIsWrittenWhileAWorkerAsksIsCounted)
{
    EXPECT_EQ(stored_with([this] { put_and_tell(7, 9); }), 2U);
    EXPECT_EQ(stored(), 2U);
}

TEST_F(StoredBytesTest, HolesThatAreForgottenWhileAWorkerAsksAreNotCountedAsStored)
{
    for (std::uint64_t hole = 0; hole < 4095; ++hole) { // and the rest is the last hole of those that are remembered
        put(2 * hole + 1, 2 * hole + 2);
    }
    EXPECT_EQ(stored(), 4095U);
    presence_.invalidate({0, kBlockSize});
    EXPECT_EQ(stored_with([this] { put_and_tell(9000, 9001); }), 4096U);
}

TEST_F(StoredBytesTest, WhatComesIntoDoubtWhileAWorkerAsksIsAskedForAgain)
{
    put(0, 8);
    EXPECT_EQ(
        stored_with([this] {
            put(100, 200);
            presence_.invalidate({0, kBlocks * kBlockSize});
        }),
        108U
    );
}

TEST_F(StoredBytesTest, AFileInVeryManyPiecesIsAskedAgainWhenItHasChanged)
{
    for (std::uint64_t block = 1; block < kBlocks; block += 2) {
        put(block, block + 1);
    }
    EXPECT_EQ(stored(), kBlocks / 2);
    EXPECT_EQ(stored(), kBlocks / 2);
    EXPECT_EQ(handle_->looks(), 1U) << "its sum is remembered";
    put_and_tell(0, 1);
    EXPECT_EQ(stored(), kBlocks / 2 + 1);
    EXPECT_EQ(handle_->looks(), 2U);
}

TEST_F(StoredBytesTest, AFailureIsToldAndForgotten)
{
    file_->detach(*handle_);
    const auto failed = test::run_task(loop_, presence_.stored_bytes());
    ASSERT_TRUE(failed);
    EXPECT_FALSE(*failed);
    file_->attach(handle_);
    put(0, 1);
    EXPECT_EQ(stored(), 1U);
}

} // namespace
} // namespace sluice::daemon
