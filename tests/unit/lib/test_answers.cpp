// SPDX-License-Identifier: Apache-2.0
#include "lib/answers.hpp"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>

namespace sluice::lib {
namespace {

template <typename T>
std::span<const std::byte> bytes_of(const T& message)
{
    return std::as_bytes(std::span{&message, 1});
}

sluice_wire_answer answer(unsigned opcode, std::size_t size, int status = 0)
{
    return {{static_cast<std::uint16_t>(opcode | SLUICE_WIRE_ANSWER), static_cast<std::uint16_t>(size), 7}, status, 0};
}

TEST(Answers, AHelloTellsTheLimits)
{
    const sluice_wire_hello_answer hello{answer(SLUICE_WIRE_HELLO, sizeof hello), 1, 10, 20, 4096};
    const auto got = decode_answer(bytes_of(hello));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->id, 7U);
    EXPECT_EQ(got->limits.requests, 10U);
    EXPECT_EQ(got->limits.objects, 20U);
    EXPECT_EQ(got->limits.read, 4096U);
}

TEST(Answers, LimitsThatAllowNothingAreRefused)
{
    for (const auto& limits : {std::array{0U, 1U, 4096U}, {1U, 0U, 4096U}, {1U, 1U, 4095U}}) {
        const sluice_wire_hello_answer hello{
            answer(SLUICE_WIRE_HELLO, sizeof hello), 1, limits[0], limits[1], limits[2]};
        EXPECT_FALSE(decode_answer(bytes_of(hello)));
    }
}

TEST(Answers, AnotherVersionIsRefused)
{
    const sluice_wire_hello_answer hello{answer(SLUICE_WIRE_HELLO, sizeof hello), 2, 10, 20, 4096};
    EXPECT_FALSE(decode_answer(bytes_of(hello)));
}

TEST(Answers, AnOpenTellsTheBlob)
{
    sluice_wire_open_answer open{answer(SLUICE_WIRE_OPEN_BLOB, sizeof open), 3, 0, 8192, {}};
    std::memset(open.digest, 0xab, sizeof open.digest);
    const auto got = decode_answer(bytes_of(open));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->opened.object, 3U);
    EXPECT_EQ(got->opened.size, 8192U);
    std::string digits;
    for (int i = 0; i < 32; ++i) {
        digits += "ab";
    }
    EXPECT_EQ(digest_text(got->opened.digest), "sha256:" + digits);
    open.blob_size = ~0ULL;
    EXPECT_FALSE(decode_answer(bytes_of(open)));
}

TEST(Answers, WhatHasFailedIsAStatusOnly)
{
    for (const unsigned opcode : {SLUICE_WIRE_HELLO, SLUICE_WIRE_OPEN_BLOB, SLUICE_WIRE_OPEN_IMAGE, SLUICE_WIRE_READ}) {
        const auto failed = answer(opcode, sizeof(sluice_wire_answer), -EACCES);
        const auto got = decode_answer(bytes_of(failed));
        ASSERT_TRUE(got) << opcode;
        EXPECT_EQ(got->opcode, opcode);
        EXPECT_EQ(got->status, -EACCES);
    }
    // A success of these has more to say.
    EXPECT_FALSE(decode_answer(bytes_of(answer(SLUICE_WIRE_OPEN_BLOB, sizeof(sluice_wire_answer)))));
}

TEST(Answers, NonsenseIsRefused)
{
    const sluice_wire_answer good = answer(SLUICE_WIRE_READ, sizeof(sluice_wire_answer));
    ASSERT_TRUE(decode_answer(bytes_of(good)));
    EXPECT_FALSE(decode_answer(bytes_of(good).first(15)));
    EXPECT_FALSE(decode_answer({}));
    auto wrong = good;
    wrong.header.size = 17;
    EXPECT_FALSE(decode_answer(bytes_of(wrong)));
    for (const int status : {1, -4096, INT_MIN}) {
        EXPECT_FALSE(decode_answer(bytes_of(answer(SLUICE_WIRE_READ, sizeof good, status))));
    }
    for (const unsigned opcode : {0U, 7U, 0x7fffU}) {
        EXPECT_FALSE(decode_answer(bytes_of(answer(opcode, sizeof good)))) << opcode;
        EXPECT_FALSE(decode_answer(bytes_of(answer(opcode, sizeof good, -EIO)))) << opcode;
    }
    wrong = good;
    wrong.header.opcode = SLUICE_WIRE_READ;
    EXPECT_FALSE(decode_answer(bytes_of(wrong))); // a request
}

} // namespace
} // namespace sluice::lib
