// SPDX-License-Identifier: Apache-2.0
#include "base/byte_range.hpp"

#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ByteRange, RefusesWhatDoesNotFitAFile)
{
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(ByteRange::from_length(4096, 4096), ByteRange(4096, 8192));
    EXPECT_EQ(ByteRange::from_length(kMax, 0), ByteRange(kMax, kMax));
    EXPECT_FALSE(ByteRange::from_length(kMax, 1));
    EXPECT_FALSE(ByteRange::from_length(1, kMax));
    EXPECT_FALSE(ByteRange::from_length(std::numeric_limits<std::uint64_t>::max(), 2));
}

TEST(ByteRange, AlignsOutwardsWithoutOverflow)
{
    EXPECT_EQ(ByteRange(1, 4097).align_out(4096), ByteRange(0, 8192));
    EXPECT_EQ(ByteRange(4096, 8192).align_out(4096), ByteRange(4096, 8192));
    constexpr auto kTop = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(ByteRange(kTop - 10, kTop).align_out(4096).end(), kTop - 4095);
}

TEST(ByteRange, EmptyRangesOverlapNothing)
{
    EXPECT_FALSE(ByteRange(5, 5).overlaps({0, 10}));
    EXPECT_FALSE(ByteRange(0, 5).overlaps({5, 10}));
    EXPECT_TRUE(ByteRange(0, 6).overlaps({5, 10}));
    EXPECT_TRUE(ByteRange(0, 5).intersect({7, 9}).empty());
}

TEST(RangeSet, MergesTouchingNeighbours)
{
    RangeSet set;
    set.add({0, 4});
    set.add({8, 12});
    set.add({4, 8});
    EXPECT_THAT(set.ranges(), ElementsAre(ByteRange(0, 12)));
    set.add({20, 30});
    set.add({10, 25});
    EXPECT_THAT(set.ranges(), ElementsAre(ByteRange(0, 30)));
    EXPECT_EQ(set.size(), 30U);
}

TEST(RangeSet, RemovesFromTheMiddle)
{
    RangeSet set;
    set.add({0, 100});
    set.remove({20, 30});
    set.remove({90, 200});
    EXPECT_THAT(set.ranges(), ElementsAre(ByteRange(0, 20), ByteRange(30, 90)));
    EXPECT_TRUE(set.contains({30, 90}));
    EXPECT_FALSE(set.contains({19, 21}));
    EXPECT_TRUE(set.overlaps({25, 31}));
    EXPECT_FALSE(set.overlaps({20, 30}));
}

TEST(RangeSet, InsideAndOutsidePartitionTheRange)
{
    RangeSet set;
    set.add({10, 20});
    set.add({30, 40});
    EXPECT_THAT(set.inside({15, 35}), ElementsAre(ByteRange(15, 20), ByteRange(30, 35)));
    EXPECT_THAT(set.outside({15, 35}), ElementsAre(ByteRange(20, 30)));
    EXPECT_THAT(set.outside({0, 50}), ElementsAre(ByteRange(0, 10), ByteRange(20, 30), ByteRange(40, 50)));
    EXPECT_THAT(set.outside({12, 18}), IsEmpty());
    EXPECT_THAT(set.inside({20, 30}), IsEmpty());
}

} // namespace
} // namespace sluice
