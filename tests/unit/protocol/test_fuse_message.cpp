// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "protocol/fuse_message.hpp"
#include "tests/unit/protocol/fuse_bytes.hpp"

#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace sluice::protocol {
namespace {

using namespace std::string_literals;

Result<FuseMessage> parse(const std::string& bytes)
{
    return parse_fuse_message(as_byte_span(bytes));
}

TEST(FuseMessage, ARead)
{
    const auto read = parse(fuse_read_bytes(6, 3, 8192, 4096)).value();
    EXPECT_EQ(read.operation, static_cast<std::uint32_t>(FUSE_READ));
    EXPECT_EQ(read.unique, 6U);
    EXPECT_EQ(read.handle, 3U);
    EXPECT_EQ(read.offset, 8192U);
    EXPECT_EQ(read.size, 4096U);
}

TEST(FuseMessage, ALookUpHasItsNameToTheFirstZero)
{
    const auto bytes = fuse_bytes(FUSE_LOOKUP, 2, 1, "abc\0def"s);
    EXPECT_EQ(parse(bytes).value().name, "abc");
}

TEST(FuseMessage, ANameThatIsLongerThanAnyHereIsEmpty)
{
    const auto exact = fuse_bytes(FUSE_LOOKUP, 2, 1, std::string(255, 'a') + '\0');
    EXPECT_EQ(parse(exact).value().name.size(), 255U);
    const auto longer = fuse_bytes(FUSE_LOOKUP, 2, 1, std::string(256, 'a') + '\0');
    EXPECT_EQ(parse(longer).value().name, "");
    const auto cut = fuse_bytes(FUSE_LOOKUP, 2, 1, std::string(1024, 'a') + '\0').substr(0, kFuseKept);
    EXPECT_EQ(parse(cut).value().name, "");
    const auto endless = fuse_bytes(FUSE_LOOKUP, 2, 1, std::string(20, 'a'));
    EXPECT_EQ(parse(endless).value().name, "");
}

TEST(FuseMessage, OfALongMessageTheHeadIsEnough)
{
    const auto cut = fuse_bytes(FUSE_BATCH_FORGET, 8, 1, std::string(4000, 'x')).substr(0, kFuseKept);
    EXPECT_EQ(parse(cut).value().operation, static_cast<std::uint32_t>(FUSE_BATCH_FORGET));
}

TEST(FuseMessage, ACutMessageIsAnError)
{
    const auto whole = fuse_read_bytes(6, 3, 0, 4096);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(parse(whole.substr(0, size))) << size;
    }
    for (const auto operation : {FUSE_READ, FUSE_READDIR, FUSE_RELEASE, FUSE_INIT}) {
        EXPECT_FALSE(parse(fuse_bytes(static_cast<std::uint32_t>(operation), 2, 1, "short"))) << operation;
    }
}

TEST(FuseMessage, AnAbsurdLengthIsAnErrorWhoseAskerIsKnown)
{
    auto bytes = fuse_read_bytes(6, 3, 0, 4096);
    bytes[0] = 5;
    EXPECT_FALSE(parse(bytes));
    EXPECT_EQ(unique_of_fuse_message(as_byte_span(bytes)), 6U);
    EXPECT_EQ(unique_of_fuse_message({}), 0U);
}

TEST(FuseMessage, OnlyForgettingAndInterruptingWantNoAnswer)
{
    for (const auto silent : {FUSE_FORGET, FUSE_BATCH_FORGET, FUSE_INTERRUPT, FUSE_NOTIFY_REPLY}) {
        EXPECT_FALSE(expects_answer(static_cast<std::uint32_t>(silent)));
    }
    EXPECT_TRUE(expects_answer(FUSE_READ));
    EXPECT_TRUE(expects_answer(12345));
}

TEST(FuseMessage, WhatIsNegotiatedSetsNoStackingDepth)
{
    const FuseOffer everything{7, 41, 1U << 30, 0xffffffffU};
    const auto answer = answer_offer(everything).value();
    EXPECT_EQ(answer.major, 7U);
    EXPECT_EQ(answer.max_write, 4096U); // with more, the kernel wants larger buffers than a slot and its scratch
    EXPECT_EQ(answer.max_readahead, 1U << 20);
    EXPECT_EQ(answer.max_background, 1024U);
    EXPECT_EQ(answer.max_pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), kFuseReadMax);
    EXPECT_EQ(answer.flags2, 0U); // FUSE_PASSTHROUGH is one of these, and they count only with FUSE_INIT_EXT
    EXPECT_EQ(answer.flags & FUSE_INIT_EXT, 0U);
    EXPECT_NE(answer.flags & FUSE_ASYNC_READ, 0U);
    EXPECT_NE(answer.flags & FUSE_PARALLEL_DIROPS, 0U);
}

TEST(FuseMessage, NothingIsNegotiatedThatTheKernelDoesNotOffer)
{
    const auto answer = answer_offer({7, 31, 4096, FUSE_ASYNC_READ}).value();
    EXPECT_EQ(answer.flags, static_cast<std::uint32_t>(FUSE_ASYNC_READ));
    EXPECT_EQ(answer.max_readahead, 4096U);
    EXPECT_FALSE(answer_offer({7, 22, 4096, 0}));
    EXPECT_FALSE(answer_offer({6, 99, 4096, 0}));
    EXPECT_TRUE(answer_offer({8, 0, 4096, 0})); // it begins again with 7
}

TEST(FuseMessage, ListedEntriesFillTheRoomAndNoMore)
{
    FuseListing listing{FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + 3) * 2};
    EXPECT_TRUE(listing.add("one", 2, false, 1));
    EXPECT_TRUE(listing.add("two", 3, false, 2));
    EXPECT_FALSE(listing.add("six", 4, false, 3));
    fuse_dirent second{};
    const auto bytes = listing.bytes();
    std::memcpy(&second, bytes.data() + bytes.size() / 2, FUSE_NAME_OFFSET);
    EXPECT_EQ(second.ino, 3U);
    EXPECT_EQ(second.off, 2U);
    EXPECT_EQ(second.namelen, 3U);
}

} // namespace
} // namespace sluice::protocol
