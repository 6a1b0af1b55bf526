// SPDX-License-Identifier: Apache-2.0
#include "lib/probe.hpp"
#include "tests/unit/lib/hole_map.hpp"

#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>

namespace sluice::lib::test {
namespace {

constexpr std::int64_t kBlock = 4096;

void expect_run(const Occupancy& found, std::int64_t start, std::int64_t len)
{
    EXPECT_EQ(found.error, 0);
    EXPECT_EQ(found.start, start);
    EXPECT_EQ(found.len, static_cast<std::uint64_t>(len));
}

void expect_error(const Occupancy& found, int error)
{
    EXPECT_EQ(found.error, error);
    EXPECT_EQ(found.start, -1);
    EXPECT_EQ(found.len, 0U);
}

TEST(Occupancy, FindsTheFirstRun)
{
    HoleMap map{16 * kBlock, {{2 * kBlock, 4 * kBlock}, {8 * kBlock, 9 * kBlock}}};
    expect_run(query_occupancy(map.probed(), 0, 16 * kBlock, 0), 2 * kBlock, 2 * kBlock);
    expect_run(query_occupancy(map.probed(), 4 * kBlock, 12 * kBlock, 0), 8 * kBlock, kBlock);
}

TEST(Occupancy, RoundsAwayPartsOfBlocksAndOfGrains)
{
    HoleMap map{32 * kBlock, {{kBlock + 512, 3 * kBlock + 512}, {10 * kBlock, 21 * kBlock}}};
    expect_run(query_occupancy(map.probed(), 0, 32 * kBlock, 0), 2 * kBlock, kBlock);
    expect_run(query_occupancy(map.probed(), 4 * kBlock, 28 * kBlock, 4 * kBlock), 12 * kBlock, 8 * kBlock);
    expect_error(query_occupancy(map.probed(), 0, 9 * kBlock, 4 * kBlock), -ENODATA);
}

TEST(Occupancy, ARunThatGoesOnIsCutAtTheRangesEnd)
{
    HoleMap map{16 * kBlock, {{2 * kBlock, 6 * kBlock}}};
    // The kernel says 4 blocks from block 2 on here; so do we, but not where that would reach into
    // the hole.
    expect_run(query_occupancy(map.probed(), 0, 4 * kBlock, 0), 2 * kBlock, 2 * kBlock);
}

TEST(Occupancy, SaysWhenThereIsNone)
{
    HoleMap map{16 * kBlock, {{8 * kBlock, 9 * kBlock}}};
    expect_error(query_occupancy(map.probed(), 0, 8 * kBlock, 0), -ENODATA);
    expect_error(query_occupancy(map.probed(), 9 * kBlock, kBlock, 0), -ENODATA);
    expect_error(query_occupancy(map.probed(), 20 * kBlock, kBlock, 0), -ENODATA);
    expect_error(query_occupancy(map.probed(), 8 * kBlock, 0, 0), -ENODATA);
}

TEST(Occupancy, SaysWhenItCannotBeKnown)
{
    HoleMap data_fails{kBlock};
    data_fails.fail_data_seeks(EIO);
    expect_error(query_occupancy(data_fails.probed(), 0, kBlock, 0), -ENOBUFS);
    HoleMap hole_fails{kBlock, {{0, kBlock}}};
    hole_fails.fail_hole_seeks(EIO);
    expect_error(query_occupancy(hole_fails.probed(), 0, kBlock, 0), -ENOBUFS);
    hole_fails.fail_hole_seeks(ENXIO);
    expect_error(query_occupancy(hole_fails.probed(), 0, kBlock, 0), -ENODATA);
    expect_error(query_occupancy({}, 0, kBlock, 0), -ENOBUFS);
}

TEST(Occupancy, RefusesSenselessArguments)
{
    HoleMap map{kBlock, {{0, kBlock}}};
    expect_error(query_occupancy(map.probed(), -1, kBlock, 0), -EINVAL);
    expect_error(query_occupancy(map.probed(), 0, kBlock, 3000), -EINVAL);
    expect_error(query_occupancy(map.probed(1000), 0, kBlock, 0), -EINVAL);
    expect_run(query_occupancy(map.probed(), 0, std::numeric_limits<std::uint64_t>::max(), 0), 0, kBlock);
}

} // namespace
} // namespace sluice::lib::test
