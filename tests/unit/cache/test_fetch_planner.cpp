// SPDX-License-Identifier: Apache-2.0
#include "cache/fetch_planner.hpp"

#include <algorithm>
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

namespace sluice::cache {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kKib = 1024;
constexpr std::uint64_t kMib = 1024 * kKib;
constexpr std::uint64_t kGib = 1024 * kMib;

ByteRange at(std::uint64_t begin, std::uint64_t size)
{
    return {begin, begin + size};
}

/// What every plan must be, whatever the policy thought.
void expect_sound(const ReadPlan& plan, ByteRange wanted, std::uint64_t object_size, std::uint64_t max_request)
{
    RangeSet demand;
    std::uint64_t planned = 0;
    RangeSet all;
    const ByteRange object = ByteRange{0, object_size}.align_out(kBlockSize);
    const auto check = [&](ByteRange range) {
        EXPECT_FALSE(range.empty());
        EXPECT_LE(range.size(), max_request);
        EXPECT_EQ(range.align_out(kBlockSize), range);
        EXPECT_TRUE(object.contains(range)) << range.to_string();
        planned += range.size();
        all.add(range);
    };
    for (const auto& range : plan.demand) {
        check(range);
        demand.add(range);
    }
    std::ranges::for_each(plan.readahead, check);
    EXPECT_EQ(all.size(), planned) << "ranges overlap";
    EXPECT_TRUE(demand.contains(wanted.intersect(object)));
    EXPECT_TRUE(std::ranges::is_sorted(plan.demand));
    EXPECT_TRUE(std::ranges::is_sorted(plan.readahead));
}

TEST(ReadPlanner, TheFirstReadOfTheStartBringsTheMetadata)
{
    ReadPlanner planner{{}, kGib};
    const auto plan = planner.plan(at(0, 4096));
    EXPECT_THAT(plan.demand, ElementsAre(at(0, 4096)));
    EXPECT_THAT(plan.readahead, ElementsAre(ByteRange(4096, kMib)));
    EXPECT_THAT(planner.plan(at(0, 4096)).readahead, IsEmpty()) << "once";
}

TEST(ReadPlanner, MetadataReadsWithinTheFirstFetchStartNoStream)
{
    ReadPlanner planner{{}, kGib};
    (void)planner.plan(at(0, 4096));
    for (const std::uint64_t where : {600 * kKib, 300 * kKib, 900 * kKib, 500 * kKib, 200 * kKib}) {
        EXPECT_THAT(planner.plan(at(where, 4096)).readahead, IsEmpty()) << where;
    }
}

TEST(ReadPlanner, ASmallObjectIsPlannedWhole)
{
    ReadPlanner planner{{}, 10'000};
    const auto plan = planner.plan(at(0, 4096));
    EXPECT_THAT(plan.demand, ElementsAre(at(0, 4096)));
    EXPECT_THAT(plan.readahead, ElementsAre(at(4096, 8192))) << "the last block counts as whole";
}

TEST(ReadPlanner, AReadOutOfTheBlueIsRoundedToASmallWindow)
{
    ReadPlanner planner{{}, kGib};
    auto plan = planner.plan(at(100 * kMib + 20 * kKib, 4096));
    EXPECT_THAT(plan.demand, ElementsAre(at(100 * kMib, 64 * kKib)));
    EXPECT_THAT(plan.readahead, IsEmpty());
    plan = planner.plan(at(200 * kMib + 60 * kKib, 8 * kKib));
    EXPECT_THAT(plan.demand, ElementsAre(at(200 * kMib, 128 * kKib)));
}

TEST(ReadPlanner, TheSmallWindowNeverCrossesTheEnd)
{
    ReadPlanner planner{{}, 10 * kMib + 5000};
    const auto plan = planner.plan(at(10 * kMib + 4096, 4096));
    EXPECT_THAT(plan.demand, ElementsAre(at(10 * kMib, 8192)));
}

TEST(ReadPlanner, ASecondReadInOrderStartsAWindowThatDoubles)
{
    ReadPlanner planner{{}, kGib};
    const auto base = 100 * kMib;
    EXPECT_THAT(planner.plan(at(base, 128 * kKib)).readahead, IsEmpty());
    auto plan = planner.plan(at(base + 128 * kKib, 128 * kKib));
    EXPECT_THAT(plan.demand, ElementsAre(at(base + 128 * kKib, 128 * kKib)));
    EXPECT_THAT(plan.readahead, ElementsAre(at(base + 256 * kKib, 256 * kKib))) << "as much again";
    // Half of it used up: twice as much ahead.
    EXPECT_THAT(planner.plan(at(base + 256 * kKib, 64 * kKib)).readahead, IsEmpty());
    plan = planner.plan(at(base + 320 * kKib, 64 * kKib));
    EXPECT_THAT(plan.readahead, ElementsAre(at(base + 512 * kKib, 384 * kKib)));
    plan = planner.plan(at(base + 640 * kKib, 128 * kKib));
    EXPECT_THAT(plan.readahead, ElementsAre(ByteRange(base + 896 * kKib, base + 768 * kKib + kMib)));
    // All of it was there when the reader came by: it shows up at the end, and goes on.
    plan = planner.plan(at(base + 1792 * kKib, 128 * kKib));
    EXPECT_THAT(plan.demand, ElementsAre(at(base + 1792 * kKib, 128 * kKib)));
    EXPECT_THAT(plan.readahead, ElementsAre(at(base + 1920 * kKib, 2 * kMib)));
}

TEST(ReadPlanner, RandomReadsThatHappenToMeetBringLittleMore)
{
    ReadPlanner planner{{}, kGib};
    const auto base = 100 * kMib;
    (void)planner.plan(at(base, 64 * kKib));
    EXPECT_THAT(
        planner.plan(at(base + 64 * kKib, 64 * kKib)).readahead, ElementsAre(at(base + 128 * kKib, 128 * kKib))
    );
}

TEST(ReadPlanner, TheWindowStopsGrowingAndIsSplit)
{
    ReadPolicy policy;
    policy.read_ahead = 8 * kMib;
    policy.max_request = 3 * kMib;
    ReadPlanner planner{policy, kGib};
    std::uint64_t position = 512 * kMib;
    std::uint64_t planned = 0;
    for (int i = 0; i < 2000; ++i) {
        const auto wanted = at(position, 128 * kKib);
        const auto plan = planner.plan(wanted);
        expect_sound(plan, wanted, kGib, 3 * kMib);
        for (const auto& range : plan.readahead) {
            planned = range.end();
        }
        position = wanted.end();
        ASSERT_LE(planned, position + 8 * kMib);
    }
    EXPECT_GE(planned, position + 4 * kMib) << "and the reader has half a window ahead of it at all times";
}

TEST(ReadPlanner, ReadaheadEndsWithTheObject)
{
    ReadPlanner planner{{}, 100 * kMib};
    (void)planner.plan(at(99 * kMib, 128 * kKib));
    auto plan = planner.plan(at(99 * kMib + 128 * kKib, 128 * kKib));
    EXPECT_THAT(plan.readahead, ElementsAre(at(99 * kMib + 256 * kKib, 256 * kKib)));
    plan = planner.plan(at(99 * kMib + 512 * kKib, 128 * kKib));
    EXPECT_THAT(plan.readahead, ElementsAre(at(99 * kMib + 640 * kKib, 384 * kKib)));
    plan = planner.plan(at(99 * kMib + 896 * kKib, 128 * kKib));
    EXPECT_THAT(plan.demand, ElementsAre(at(99 * kMib + 896 * kKib, 128 * kKib)));
    EXPECT_THAT(plan.readahead, IsEmpty());
}

TEST(ReadPlanner, WhatLiesBeyondTheObjectIsNotPlanned)
{
    ReadPlanner planner{{}, kMib};
    EXPECT_THAT(planner.plan(at(kMib, 4096)).demand, IsEmpty());
    EXPECT_THAT(planner.plan(at(kMib - 4096, 128 * kKib)).demand, ElementsAre(ByteRange(kMib - 64 * kKib, kMib)));
    EXPECT_THAT(planner.plan({5, 5}).demand, IsEmpty());
    ReadPlanner nothing{{}, 0};
    EXPECT_THAT(nothing.plan(at(0, 4096)).demand, IsEmpty());
}

TEST(ReadPlanner, ReadsOfAnyAlignmentAreCovered)
{
    ReadPlanner planner{{}, kGib};
    const auto plan = planner.plan(at(5000, 10));
    EXPECT_THAT(plan.demand, ElementsAre(at(0, 64 * kKib)));
    EXPECT_THAT(planner.plan_bare(at(5000, 10)).demand, ElementsAre(at(4096, 4096)));
    EXPECT_THAT(planner.plan_bare(at(5000, 10)).readahead, IsEmpty());
}

TEST(ReadPlanner, AHugeReadIsSplit)
{
    ReadPlanner planner{{}, kGib};
    const auto wanted = at(64 * kMib, 10 * kMib);
    const auto plan = planner.plan(wanted);
    EXPECT_THAT(plan.demand, ElementsAre(at(64 * kMib, 4 * kMib), at(68 * kMib, 4 * kMib), at(72 * kMib, 2 * kMib)));
    expect_sound(plan, wanted, kGib, 4 * kMib);
}

TEST(ReadPlanner, ReadaheadCanBeTurnedOff)
{
    ReadPolicy policy;
    policy.read_ahead = 0;
    policy.random_window = 0;
    policy.metadata_window = 0;
    ReadPlanner planner{policy, kGib};
    for (std::uint64_t position = 0; position < 4 * kMib; position += 128 * kKib) {
        const auto plan = planner.plan(at(position, 128 * kKib));
        EXPECT_THAT(plan.demand, ElementsAre(at(position, 128 * kKib)));
        EXPECT_THAT(plan.readahead, IsEmpty());
    }
}

TEST(ReadPlanner, ManyReadersShareTheReadahead)
{
    ReadPolicy policy;
    policy.total_read_ahead = 32 * kMib;
    ReadPlanner planner{policy, 64 * kGib};
    std::vector<std::uint64_t> positions(16);
    std::vector<std::uint64_t> planned(16);
    for (std::size_t r = 0; r < positions.size(); ++r) {
        positions[r] = (r + 1) * kGib;
    }
    for (int round = 0; round < 300; ++round) {
        for (std::size_t r = 0; r < positions.size(); ++r) {
            for (const auto& range : planner.plan(at(positions[r], 128 * kKib)).readahead) {
                planned[r] = range.end();
            }
            positions[r] += 128 * kKib;
        }
    }
    for (std::size_t r = 0; r < positions.size(); ++r) {
        EXPECT_GT(planned[r], positions[r]) << r;
        EXPECT_LE(planned[r] - positions[r], 2 * kMib) << r;
    }
}

TEST(ReadPlanner, AnOddPolicyIsMadeSound)
{
    ReadPolicy policy;
    policy.max_request = 5000;
    policy.first_window = std::numeric_limits<std::uint64_t>::max();
    policy.read_ahead = 100'000;
    policy.random_window = 10'000;
    policy.metadata_window = 1;
    policy.max_streams = 0;
    ReadPlanner planner{policy, 50'000'001};
    for (std::uint64_t position = 0; position < 2 * kMib; position += 20'000) {
        const auto wanted = at(position, 20'000);
        expect_sound(planner.plan(wanted), wanted, 50'000'001, 8192);
    }
}

TEST(ReadPlanner, EveryPlanIsSoundWhateverIsRead)
{
    std::mt19937_64 random{17};
    const auto below = [&](std::uint64_t limit) { return random() % limit; };
    for (int object = 0; object < 200; ++object) {
        ReadPolicy policy;
        policy.max_request = below(5 * kMib);
        policy.first_window = below(kMib);
        policy.read_ahead = below(8 * kMib);
        policy.total_read_ahead = below(16 * kMib);
        policy.random_window = below(512 * kKib);
        policy.max_streams = below(8);
        const std::uint64_t size = below(64 * kMib);
        const std::uint64_t max_request =
            std::max(ByteRange(0, policy.max_request).align_out(kBlockSize).end(), kBlockSize);
        ReadPlanner planner{policy, size};
        std::uint64_t position = 0;
        for (int read = 0; read < 200; ++read) {
            position = below(3) == 0 ? below(size + kMib) : position;
            const auto wanted = at(position, below(4) == 0 ? below(300 * kKib) : 128 * kKib);
            expect_sound(planner.plan(wanted), wanted, size, max_request);
            position = wanted.end();
        }
        ASSERT_FALSE(HasFailure()) << "object " << object;
    }
}

} // namespace
} // namespace sluice::cache
