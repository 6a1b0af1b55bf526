// SPDX-License-Identifier: Apache-2.0
//
// The rows of the kernel's procedure, one by one, over a model of holes.
#include "lib/probe.hpp"
#include "tests/unit/lib/hole_map.hpp"

#include <cerrno>
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace sluice::lib::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::int64_t kBlock = 4096;
constexpr std::int64_t kNoEnd = std::numeric_limits<std::int64_t>::max();
constexpr unsigned long kCopy = SLUICE_SREQ_COPY_TO_CACHE;
constexpr unsigned long kOnDemand = SLUICE_SREQ_ONDEMAND;

struct Row {
    const char* name;
    HoleMap map;
    std::int64_t start;
    std::int64_t len;
    std::int64_t i_size;
    unsigned long flags;
    Filler::How daemon;
    // what must come out
    sluice_source source;
    sluice_why why;
    std::int64_t out_len;
    unsigned long out_flags;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> asked;
    std::uint32_t block_size = kBlock;
    bool no_data = false;

    friend std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }
};

class Procedure : public ::testing::TestWithParam<Row> {};

TEST_P(Procedure, AnswersAsTheKernelDoes)
{
    auto row = GetParam();
    Filler daemon{row.map, row.daemon, row.block_size};
    ProbeRequest probe{
        .start = row.start,
        .len = static_cast<std::uint64_t>(row.len),
        .i_size = row.i_size,
        .flags = row.flags,
        .no_data_to_read = row.no_data,
        .request = Filler::call,
        .ctx = &daemon,
    };
    EXPECT_EQ(prepare_ondemand_read(row.map.probed(row.block_size), probe), row.source);
    EXPECT_STREQ(sluice_why_name(probe.why), sluice_why_name(row.why));
    EXPECT_EQ(probe.len, static_cast<std::uint64_t>(row.out_len));
    EXPECT_EQ(probe.flags, row.out_flags);
    EXPECT_EQ(daemon.asked, row.asked);
}

std::vector<Row> rows()
{
    using How = Filler::How;
    constexpr auto kZero = SLUICE_FILL_WITH_ZEROES;
    constexpr auto kDown = SLUICE_DOWNLOAD_FROM_SERVER;
    constexpr auto kRead = SLUICE_READ_FROM_CACHE;
    constexpr auto kBad = SLUICE_INVALID_READ;
    const HoleMap full{8 * kBlock, {{0, 8 * kBlock}}};
    const HoleMap hole{8 * kBlock};
    const HoleMap head_data{8 * kBlock, {{0, 3 * kBlock}}};
    const HoleMap tail_data{8 * kBlock, {{3 * kBlock, 8 * kBlock}}};
    const HoleMap islands{8 * kBlock, {{2 * kBlock, 4 * kBlock}}};
    HoleMap data_fails{8 * kBlock};
    data_fails.fail_data_seeks(EIO);
    HoleMap hole_fails = full;
    hole_fails.fail_hole_seeks(EIO);
    HoleMap hole_gone = full;
    hole_gone.fail_hole_seeks(ENXIO);
    HoleMap backwards = full;
    backwards.fail_data_seeks(5000); // below -4095: no errno, and no offset either

    const std::vector<std::pair<std::uint64_t, std::uint64_t>> nobody;
    // One case on a line or two, not one value.
    // clang-format off
    return {
        // step 1
        {"start_at_i_size", full, 8 * kBlock, kBlock, 8 * kBlock, kOnDemand, How::kAll, kZero,
         SLUICE_WHY_AFTER_EOF, kBlock, kOnDemand, nobody},
        {"start_behind_i_size_beats_no_data", full, 9 * kBlock, 7, 8 * kBlock, 0, How::kAll, kZero,
         SLUICE_WHY_AFTER_EOF, 7, 0, nobody, kBlock, true},
        {"nothing_wanted_behind_i_size", full, 9 * kBlock, 0, 8 * kBlock, 0, How::kAll, kZero,
         SLUICE_WHY_AFTER_EOF, 0, 0, nobody},
        // step 2
        {"new_file_without_ondemand", full, 0, 5 * kBlock, kNoEnd, 0, How::kAll, kDown, SLUICE_WHY_NO_DATA, 5 *
         kBlock, kCopy, nobody, kBlock, true},
        {"new_file_with_ondemand_is_probed_all_the_same", full, 0, 5 * kBlock, kNoEnd, kOnDemand, How::kAll,
         kRead, SLUICE_WHY_HAVE_DATA, 5 * kBlock, kOnDemand | kCopy, nobody, kBlock, true},
        // step 4
        {"no_data_up_to_the_end", head_data, 4 * kBlock, kBlock, kNoEnd, 0, How::kAll, kDown,
         SLUICE_WHY_SEEK_NXIO, kBlock, kCopy, nobody},
        {"past_the_file_daemon_fills_nothing", full, 10 * kBlock, kBlock, kNoEnd, kOnDemand, How::kNothing,
         kDown, SLUICE_WHY_SEEK_NXIO, kBlock, kCopy, {{10 * kBlock, kBlock}}},
        // step 5
        {"data_seek_fails", data_fails, 0, kBlock, kNoEnd, kOnDemand, How::kAll, kDown, SLUICE_WHY_SEEK_ERROR,
         kBlock, kOnDemand, nobody},
        {"seek_goes_backwards", backwards, 0, kBlock, kNoEnd, kOnDemand, How::kAll, kDown, SLUICE_WHY_SEEK_ERROR,
         kBlock, kOnDemand, nobody},
        // step 6
        {"data_only_behind_the_range", tail_data, 0, 3 * kBlock, kNoEnd, 0, How::kAll, kDown,
         SLUICE_WHY_FOUND_HOLE, 3 * kBlock, kCopy, nobody},
        {"hole_filled_by_the_daemon", hole, kBlock, 4 * kBlock, kNoEnd, kOnDemand, How::kAll, kRead,
         SLUICE_WHY_HAVE_DATA, 4 * kBlock, kCopy, {{kBlock, 4 * kBlock}}},
        {"hole_overfilled_by_the_daemon", hole, 0, kBlock, kNoEnd, kOnDemand, How::kTooMuch, kRead,
         SLUICE_WHY_HAVE_DATA, kBlock, kCopy, {{0, kBlock}}},
        {"hole_filled_in_part", hole, 0, 4 * kBlock, kNoEnd, kOnDemand, How::kFirstBlock, kRead,
         SLUICE_WHY_HAVE_DATA, kBlock, kCopy, {{0, 4 * kBlock}}},
        {"hole_left_by_the_daemon", tail_data, 0, 2 * kBlock, kNoEnd, kOnDemand, How::kNothing, kDown,
         SLUICE_WHY_FOUND_HOLE, 2 * kBlock, kCopy, {{0, 2 * kBlock}}},
        {"daemon_refuses", hole, 0, 2 * kBlock, kNoEnd, kOnDemand, How::kRefuse, kBad, SLUICE_WHY_SEEK_NXIO, 2 *
         kBlock, kOnDemand | kCopy, {{0, 2 * kBlock}}},
        // step 7
        {"hole_then_data", tail_data, 0, 8 * kBlock, kNoEnd, 0, How::kAll, kDown, SLUICE_WHY_FOUND_PART, 3 *
         kBlock, kCopy, nobody},
        {"head_hole_is_filled_and_not_extended_over_the_data", tail_data, 0, 8 * kBlock, kNoEnd, kOnDemand,
         How::kAll, kRead, SLUICE_WHY_HAVE_DATA, 3 * kBlock, kCopy, {{0, 3 * kBlock}}},
        {"head_hole_left", tail_data, 0, 8 * kBlock, kNoEnd, kOnDemand, How::kNothing, kDown,
         SLUICE_WHY_FOUND_HOLE, 3 * kBlock, kCopy, {{0, 3 * kBlock}}},
        {"hole_data_hole_asks_for_the_first_only", islands, 0, 8 * kBlock, kNoEnd, kOnDemand, How::kAll, kRead,
         SLUICE_WHY_HAVE_DATA, 2 * kBlock, kCopy, {{0, 2 * kBlock}}},
        {"data_in_mid_block_is_rounded_up", HoleMap{8 * kBlock, {{2 * kBlock + 512, 4 * kBlock}}}, 0, 8 * kBlock,
         kNoEnd, 0, How::kAll, kDown, SLUICE_WHY_FOUND_PART, 3 * kBlock, kCopy, nobody},
        {"rounding_up_stays_within_the_request", HoleMap{8 * kBlock, {{kBlock + 512, 4 * kBlock}}}, 0, kBlock +
         1024, kNoEnd, 0, How::kAll, kDown, SLUICE_WHY_FOUND_PART, kBlock + 1024, kCopy, nobody},
        {"one_kib_blocks_round_finer", HoleMap{8 * kBlock, {{1536, 4 * kBlock}}}, 0, 8 * kBlock, kNoEnd, 0,
         How::kAll, kDown, SLUICE_WHY_FOUND_PART, 2048, kCopy, nobody, 1024},
        // step 8
        {"hole_seek_fails", hole_fails, 0, kBlock, kNoEnd, kOnDemand, How::kAll, kDown, SLUICE_WHY_SEEK_ERROR,
         kBlock, kOnDemand, nobody},
        {"hole_seek_enxio_is_an_error_too", hole_gone, 0, kBlock, kNoEnd, kOnDemand, How::kAll, kDown,
         SLUICE_WHY_SEEK_ERROR, kBlock, kOnDemand, nobody},
        // steps 9 and 10
        {"all_there", full, 0, 8 * kBlock, kNoEnd, kOnDemand, How::kAll, kRead, SLUICE_WHY_HAVE_DATA, 8 * kBlock,
         kOnDemand, nobody},
        {"data_goes_on_behind_the_range", full, kBlock, kBlock, kNoEnd, 0, How::kAll, kRead,
         SLUICE_WHY_HAVE_DATA, kBlock, 0, nobody},
        {"data_then_hole", head_data, 0, 8 * kBlock, kNoEnd, kOnDemand, How::kAll, kRead, SLUICE_WHY_HAVE_DATA, 3
         * kBlock, kOnDemand, nobody},
        {"hole_in_mid_block_is_rounded_down", HoleMap{8 * kBlock, {{0, 2 * kBlock + 512}}}, 0, 8 * kBlock,
         kNoEnd, kOnDemand, How::kAll, kRead, SLUICE_WHY_HAVE_DATA, 2 * kBlock, kOnDemand, nobody},
        {"at_the_end_of_the_object_it_is_rounded_up", HoleMap{2 * kBlock + 512, {{0, 2 * kBlock + 512}}}, 0, 8 *
         kBlock, 2 * kBlock + 512, 0, How::kAll, kRead, SLUICE_WHY_HAVE_DATA, 3 * kBlock, 0, nobody},
        {"rounding_up_at_the_end_stays_within_the_request", HoleMap{2 * kBlock + 512, {{0, 2 * kBlock + 512}}},
         0, 2 * kBlock + 1024, 2 * kBlock + 512, 0, How::kAll, kRead, SLUICE_WHY_HAVE_DATA, 2 * kBlock + 1024, 0,
         nobody},
        // what the kernel leaves open
        {"hole_inside_of_the_first_block", HoleMap{8 * kBlock, {{0, 512}}}, 0, kBlock, kNoEnd, kOnDemand,
         How::kAll, kBad, SLUICE_WHY_PART_OF_BLOCK, 0, kOnDemand, nobody},
        {"unaligned_start_rounds_to_before_itself", HoleMap{8 * kBlock, {{512, 2048}}}, 1024, kBlock, kNoEnd,
         kOnDemand, How::kAll, kBad, SLUICE_WHY_PART_OF_BLOCK, 0, kOnDemand, nobody},
        {"unaligned_start_in_full_data", full, 1000, 5000, kNoEnd, kOnDemand, How::kAll, kRead,
         SLUICE_WHY_HAVE_DATA, 5000, kOnDemand, nobody},
        {"nothing_wanted", full, 0, 0, kNoEnd, kOnDemand, How::kAll, kBad, SLUICE_WHY_BAD_ARGUMENT, 0, kOnDemand,
         nobody},
        {"negative_start", full, -kBlock, kBlock, kNoEnd, kOnDemand, How::kAll, kBad, SLUICE_WHY_BAD_ARGUMENT,
         kBlock, kOnDemand, nobody},
        {"blocks_of_an_odd_size", full, 0, kBlock, kNoEnd, kOnDemand, How::kAll, kBad, SLUICE_WHY_BAD_ARGUMENT,
         kBlock, kOnDemand, nobody, 3000},
        {"blocks_of_no_size", full, 0, kBlock, kNoEnd, kOnDemand, How::kAll, kBad, SLUICE_WHY_BAD_ARGUMENT,
         kBlock, kOnDemand, nobody, 0},
        {"a_range_to_infinity_ends_at_the_last_offset", hole, 4 * kBlock, -1, kNoEnd, 0, How::kAll, kDown,
         SLUICE_WHY_SEEK_NXIO, kNoEnd - 4 * kBlock, kCopy, nobody},
        {"other_flags_pass_through", hole, 0, kBlock, kNoEnd, 0x1a, How::kAll, kDown, SLUICE_WHY_SEEK_NXIO,
         kBlock, 0x1a | kCopy, nobody},
    };
    // clang-format on
}

INSTANTIATE_TEST_SUITE_P(Probe, Procedure, ::testing::ValuesIn(rows()), [](const auto& row) {
    return std::string{row.param.name};
});

TEST(Probe, AsksNobodyAndSeeksNothingBehindTheEnd)
{
    HoleMap map{kBlock};
    ProbeRequest probe{.start = kBlock, .len = 1, .i_size = kBlock, .flags = kOnDemand};
    EXPECT_EQ(prepare_ondemand_read(map.probed(), probe), SLUICE_FILL_WITH_ZEROES);
    EXPECT_EQ(map.seeks, 0);
}

TEST(Probe, WithoutAFileEverythingIsDownloaded)
{
    ProbeRequest probe{.start = 0, .len = 77, .i_size = kBlock, .flags = kOnDemand, .no_data_to_read = true};
    EXPECT_EQ(prepare_ondemand_read({}, probe), SLUICE_DOWNLOAD_FROM_SERVER);
    EXPECT_EQ(probe.why, SLUICE_WHY_NO_FILE);
    EXPECT_EQ(probe.len, 77U);
    EXPECT_EQ(probe.flags, kOnDemand | kCopy);
}

TEST(Probe, WithoutADaemonAHoleStaysAHole)
{
    HoleMap map{kBlock};
    ProbeRequest probe{.start = 0, .len = kBlock, .i_size = kNoEnd, .flags = kOnDemand};
    EXPECT_EQ(prepare_ondemand_read(map.probed(), probe), SLUICE_DOWNLOAD_FROM_SERVER);
    EXPECT_EQ(probe.flags, kCopy);
}

TEST(Probe, SuccessiveCallsFillHoleByHole)
{
    HoleMap map{8 * kBlock, {{2 * kBlock, 3 * kBlock}, {5 * kBlock, 6 * kBlock}}};
    Filler daemon{map, Filler::How::kAll};
    std::vector<std::uint64_t> slices;
    for (std::int64_t at = 0; at < 8 * kBlock;) {
        ProbeRequest probe{
            .start = at,
            .len = static_cast<std::uint64_t>(8 * kBlock - at),
            .i_size = kNoEnd,
            .flags = kOnDemand,
            .request = Filler::call,
            .ctx = &daemon,
        };
        ASSERT_EQ(prepare_ondemand_read(map.probed(), probe), SLUICE_READ_FROM_CACHE);
        slices.push_back(probe.len);
        at += static_cast<std::int64_t>(probe.len);
    }
    EXPECT_THAT(
        daemon.asked, ElementsAre(Pair(0U, 2U * kBlock), Pair(3U * kBlock, 2U * kBlock), Pair(6U * kBlock, 2U * kBlock))
    );
    EXPECT_THAT(slices, ElementsAre(2U * kBlock, kBlock, 2U * kBlock, kBlock, 2U * kBlock));
}

} // namespace
} // namespace sluice::lib::test
