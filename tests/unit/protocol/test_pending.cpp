// SPDX-License-Identifier: Apache-2.0
#include "protocol/device.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice::protocol {
namespace {

class Book final : public Answerer {
public:
    void answer_open(ObjectId object, MessageId message, Result<std::uint64_t> size) override
    {
        const auto what = size ? fmt::format("{}", *size) : fmt::format("-{}", size.error().code());
        lines.push_back(fmt::format("open {} {} {}", object.value, message.value, what));
    }

    void answer_read(ObjectId object, MessageId message) override
    {
        lines.push_back(fmt::format("read {} {}", object.value, message.value));
        if (during_read) {
            during_read->complete();
        }
    }

    std::vector<std::string> lines;
    PendingRead* during_read = nullptr;
};

using Lines = std::vector<std::string>;

static_assert(!std::is_copy_constructible_v<PendingRead> && !std::is_copy_constructible_v<PendingOpen>);

class PendingTest : public ::testing::Test {
protected:
    [[nodiscard]] PendingRead read(std::uint32_t message = 2) const { return {book_, ObjectId{1}, MessageId{message}}; }

    [[nodiscard]] PendingOpen open(std::uint32_t message = 2) const { return {book_, ObjectId{1}, MessageId{message}}; }

    std::shared_ptr<Book> book_ = std::make_shared<Book>();
};

TEST_F(PendingTest, AReadIsAnsweredByItsDestructor)
{
    {
        const auto pending = read();
        EXPECT_TRUE(book_->lines.empty());
    }
    EXPECT_EQ(book_->lines, Lines{"read 1 2"});
}

TEST_F(PendingTest, AReadIsAnsweredOnceHoweverOftenItIsCompleted)
{
    {
        auto pending = read();
        pending.complete();
        pending.complete();
    }
    EXPECT_EQ(book_->lines, Lines{"read 1 2"});
}

TEST_F(PendingTest, AReadThatMovedAwayOwesNothing)
{
    {
        auto first = read();
        auto second = std::move(first);
        first.complete(); // NOLINT(bugprone-use-after-move): that is what is tested
        EXPECT_TRUE(book_->lines.empty());
    }
    EXPECT_EQ(book_->lines, Lines{"read 1 2"});
}

TEST_F(PendingTest, AReadThatIsReplacedIsAnswered)
{
    {
        auto pending = read(2);
        pending = read(3);
        EXPECT_EQ(book_->lines, Lines{"read 1 2"});
        auto& same = pending;
        pending = std::move(same);
        EXPECT_EQ(book_->lines, Lines{"read 1 2"});
    }
    EXPECT_EQ(book_->lines, (Lines{"read 1 2", "read 1 3"}));
}

TEST_F(PendingTest, AnsweringCannotAnswerAgainFromWithin)
{
    auto pending = read();
    book_->during_read = &pending;
    pending.complete();
    EXPECT_EQ(book_->lines, Lines{"read 1 2"});
}

TEST_F(PendingTest, NobodyIsAnsweredWhenTheAnswererIsGone)
{
    auto pending = read();
    auto opening = open();
    book_.reset();
    pending.complete();
    opening.accept(1);
}

TEST_F(PendingTest, AnOpenIsRejectedByItsDestructor)
{
    {
        const auto pending = open();
    }
    EXPECT_EQ(book_->lines, Lines{fmt::format("open 1 2 -{}", EIO)});
}

TEST_F(PendingTest, AnOpenTakesItsFirstAnswerOnly)
{
    {
        auto pending = open();
        pending.accept(4096);
        pending.reject(ENOENT);
        pending.accept(1);
    }
    {
        auto pending = open(3);
        pending.reject(ENOENT);
        pending.accept(1);
    }
    EXPECT_EQ(book_->lines, (Lines{"open 1 2 4096", fmt::format("open 1 3 -{}", ENOENT)}));
}

TEST_F(PendingTest, AnOpenThatIsReplacedIsRejectedAndOneThatMovedOwesNothing)
{
    {
        auto pending = open(2);
        auto other = open(3);
        pending = std::move(other);
        EXPECT_EQ(book_->lines, Lines{fmt::format("open 1 2 -{}", EIO)});
        other.accept(9); // NOLINT(bugprone-use-after-move): that is what is tested
        pending.accept(7);
    }
    EXPECT_EQ(book_->lines, (Lines{fmt::format("open 1 2 -{}", EIO), "open 1 3 7"}));
}

} // namespace
} // namespace sluice::protocol
