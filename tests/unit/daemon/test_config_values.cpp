// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "daemon/config/values.hpp"

#include <gtest/gtest.h>
#include <limits>

namespace sluice::daemon {
namespace {

using std::chrono::milliseconds;

TEST(ExactSize, UsesTheLargestUnitThatDividesAndReadsBack)
{
    EXPECT_EQ(exact_size(0), "0");
    EXPECT_EQ(exact_size(1000), "1000");
    EXPECT_EQ(exact_size(65536), "64K");
    EXPECT_EQ(exact_size(std::uint64_t{3} << 30), "3G");
    for (const auto size :
         {std::uint64_t{1}, std::uint64_t{4097}, std::uint64_t{1} << 50, std::numeric_limits<std::uint64_t>::max()}) {
        EXPECT_EQ(parse_size(exact_size(size)), size);
    }
}

TEST(ExactDuration, KeepsMilliseconds)
{
    EXPECT_EQ(exact_duration(milliseconds{30'000}), "30s");
    EXPECT_EQ(exact_duration(milliseconds{1'500}), "1500ms");
    EXPECT_EQ(parse_duration(exact_duration(milliseconds{599'999})), milliseconds{599'999});
}

TEST(ParseMask, ReadsNumbersAsTheKernelDoes)
{
    EXPECT_EQ(parse_mask("010"), 8U);
    EXPECT_EQ(parse_mask("0x10"), 16U);
    EXPECT_EQ(parse_mask("10"), 10U);
    EXPECT_EQ(parse_mask("0"), 0U);
    EXPECT_FALSE(parse_mask(""));
    EXPECT_FALSE(parse_mask("0x"));
    EXPECT_FALSE(parse_mask("+1"));
}

TEST(PlainPath, RefusesPartsThatDependOnTheReader)
{
    EXPECT_TRUE(is_plain_path("/a/b.c/..d", 100));
    EXPECT_FALSE(is_plain_path("/a/..", 100));
    EXPECT_FALSE(is_plain_path("/./a", 100));
    EXPECT_FALSE(is_plain_path("", 100));
    EXPECT_FALSE(is_plain_path("/abc", 4)) << "the limit counts the terminating zero";
}

} // namespace
} // namespace sluice::daemon
