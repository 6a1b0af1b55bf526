// SPDX-License-Identifier: Apache-2.0
#include "protocol/front_end.hpp"

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
    void answer_open(ObjectId object, MessageId message, Result<OpenedBlob> blob) override
    {
        const auto what = blob ? fmt::format("{}", blob->size) : fmt::format("-{}", errno_of(blob.error()));
        lines.push_back(fmt::format("open {} {} {}", object.value, message.value, what));
    }

    void answer_read(ObjectId object, MessageId message, Result<void> outcome) override
    {
        const auto kind = outcome ? std::string{} : fmt::format(" {}", to_string(outcome.error().kind()));
        lines.push_back(fmt::format("read {} {}{}", object.value, message.value, kind));
        if (during_read) {
            during_read->complete({});
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
    EXPECT_EQ(book_->lines, Lines{"read 1 2 cancelled"});
}

TEST_F(PendingTest, AReadIsAnsweredOnceHoweverOftenItIsCompleted)
{
    {
        auto pending = read();
        pending.complete({});
        pending.complete({});
    }
    EXPECT_EQ(book_->lines, Lines{"read 1 2"});
}

TEST_F(PendingTest, AReadThatMovedAwayOwesNothing)
{
    {
        auto first = read();
        auto second = std::move(first);
        first.complete({}); // NOLINT(bugprone-use-after-move): that is what is tested
        EXPECT_TRUE(book_->lines.empty());
    }
    EXPECT_EQ(book_->lines, Lines{"read 1 2 cancelled"});
}

TEST_F(PendingTest, AReadThatIsReplacedIsAnswered)
{
    {
        auto pending = read(2);
        pending = read(3);
        EXPECT_EQ(book_->lines, Lines{"read 1 2 cancelled"});
        auto& same = pending;
        pending = std::move(same);
        EXPECT_EQ(book_->lines, Lines{"read 1 2 cancelled"});
    }
    EXPECT_EQ(book_->lines, (Lines{"read 1 2 cancelled", "read 1 3 cancelled"}));
}

TEST_F(PendingTest, AnsweringCannotAnswerAgainFromWithin)
{
    auto pending = read();
    book_->during_read = &pending;
    pending.complete({});
    EXPECT_EQ(book_->lines, Lines{"read 1 2"});
}

TEST_F(PendingTest, NobodyIsAnsweredWhenTheAnswererIsGone)
{
    auto pending = read();
    auto opening = open();
    book_.reset();
    pending.complete({});
    opening.accept({1, {}, nullptr});
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
        pending.accept({4096, {}, nullptr});
        pending.reject(Error::from_errno(ENOENT, "gone"));
        pending.accept({1, {}, nullptr});
    }
    {
        auto pending = open(3);
        pending.reject(Error::from_errno(ENOENT, "gone"));
        pending.accept({1, {}, nullptr});
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
        other.accept({9, {}, nullptr}); // NOLINT(bugprone-use-after-move): that is what is tested
        pending.accept({7, {}, nullptr});
    }
    EXPECT_EQ(book_->lines, (Lines{fmt::format("open 1 2 -{}", EIO), "open 1 3 7"}));
}

TEST_F(PendingTest, TheReasonReachesTheAnswerer)
{
    auto pending = read();
    pending.complete(fail(ErrorKind::kNoSpace, "the disk is full"));
    EXPECT_EQ(book_->lines, Lines{fmt::format("read 1 2 {}", to_string(ErrorKind::kNoSpace))});
}

TEST(ErrnoOf, TellsTheReasonAndIsAlwaysAnErrno)
{
    EXPECT_EQ(errno_of(Error{ErrorKind::kNoSpace, "full"}), ENOSPC);
    EXPECT_EQ(errno_of(Error::from_errno(ENOMEM, "memory")), ENOMEM);
    EXPECT_EQ(errno_of(Error{ErrorKind::kTimeout, "late"}), ETIMEDOUT);
    EXPECT_EQ(errno_of(Error{ErrorKind::kCorrupt, "not what was signed"}), EBADMSG);
    EXPECT_EQ(errno_of(Error{ErrorKind::kNotFound, "gone"}), ENODATA);
    EXPECT_EQ(errno_of(Error::from_errno(ENOENT, "no such blob")), ENOENT);
    EXPECT_EQ(errno_of(Error{ErrorKind::kDenied, "401"}), EACCES);
    for (const auto kind :
         {ErrorKind::kTransient,
          ErrorKind::kCancelled,
          ErrorKind::kInvalid,
          ErrorKind::kUnsupported,
          ErrorKind::kInternal}) {
        EXPECT_EQ(errno_of(Error{kind, "other"}), EIO);
    }
}

} // namespace
} // namespace sluice::protocol
