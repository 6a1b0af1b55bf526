// SPDX-License-Identifier: Apache-2.0
#include "protocol/read_ledger.hpp"
#include "tests/support/loop_fixture.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sluice::protocol {
namespace {

class ReadLedgerTest : public test::FdLeakTest {
protected:
    /// What a successor has, whatever becomes of `ledger`.
    static ReadLedger successor_of(const ReadLedger& ledger)
    {
        return ReadLedger::adopt(UniqueFd{kAdoptFd, ::fcntl(ledger.fd(), F_DUPFD_CLOEXEC, 0)}).value();
    }

    static constexpr ByteRange kRange{4096, 8192};
};

TEST_F(ReadLedgerTest, AReadThatComesAgainHasItsFirstArrival)
{
    auto first = ReadLedger::make(1).value();
    const auto noted = first.note(MessageId{7}, kRange);
    EXPECT_FALSE(noted.replayed);
    auto second = successor_of(first);
    EXPECT_EQ(second.left(), 1U);
    auto third = successor_of(second); // the second has died before it came again
    const auto again = third.note(MessageId{7}, kRange);
    EXPECT_TRUE(again.replayed);
    EXPECT_EQ(again.arrival, noted.arrival);
    EXPECT_EQ(third.left(), 0U);
}

TEST_F(ReadLedgerTest, WhatWasAnsweredIsNotLeft)
{
    auto first = ReadLedger::make(1).value();
    (void)first.note(MessageId{7}, kRange);
    (void)first.note(MessageId{8}, kRange);
    first.strike(MessageId{7});
    first.strike(MessageId{7});
    auto second = successor_of(first);
    EXPECT_EQ(second.left(), 1U);
    EXPECT_FALSE(second.note(MessageId{7}, kRange).replayed);
}

TEST_F(ReadLedgerTest, ANumberThatTheKernelHasGivenToAnotherReadIsNew)
{
    auto first = ReadLedger::make(1).value();
    const auto noted = first.note(MessageId{7}, kRange);
    auto second = successor_of(first);
    const auto other = second.note(MessageId{7}, {0, 4096});
    EXPECT_FALSE(other.replayed);
    EXPECT_GE(other.arrival, noted.arrival);
    EXPECT_EQ(successor_of(second).left(), 1U) << "and noted in the place of the old one";
}

TEST_F(ReadLedgerTest, WhenItIsFullReadsAreServedAndNotNoted)
{
    auto first = ReadLedger::make(1).value();
    for (std::uint32_t i = 0; i < ReadLedger::kSlots + 2; ++i) {
        (void)first.note(MessageId{i}, kRange);
    }
    EXPECT_EQ(successor_of(first).left(), ReadLedger::kSlots);
    first.strike(MessageId{0});
    (void)first.note(MessageId{9999}, kRange);
    EXPECT_TRUE(successor_of(first).note(MessageId{9999}, kRange).replayed);
}

TEST_F(ReadLedgerTest, ReadsThatNeverComeAgainGiveUpTheirPlaces)
{
    auto first = ReadLedger::make(1).value();
    for (std::uint32_t i = 0; i < ReadLedger::kSlots; ++i) {
        (void)first.note(MessageId{i}, kRange);
    }
    auto second = successor_of(first);
    (void)second.note(MessageId{9999}, kRange);
    EXPECT_TRUE(successor_of(second).note(MessageId{9999}, kRange).replayed);
}

TEST_F(ReadLedgerTest, MemoryOfAnotherLayoutIsNotTakenUp)
{
    const auto ledger = ReadLedger::make(1).value();
    const std::uint64_t other = 2;
    ASSERT_EQ(::pwrite(ledger.fd(), &other, sizeof other, 0), 8);
    EXPECT_FALSE(ReadLedger::adopt(UniqueFd{kAdoptFd, ::fcntl(ledger.fd(), F_DUPFD_CLOEXEC, 0)}));
    EXPECT_FALSE(ReadLedger::adopt(UniqueFd{kAdoptFd, ::memfd_create("empty", MFD_CLOEXEC)}));
    EXPECT_FALSE(ReadLedger::adopt(UniqueFd{kAdoptFd, ::open("/dev/null", O_RDWR | O_CLOEXEC)}));
}

} // namespace
} // namespace sluice::protocol
