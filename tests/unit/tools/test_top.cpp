// SPDX-License-Identifier: Apache-2.0
#include "tools/top.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json reads_within(std::uint64_t in_one, std::uint64_t in_hundred, std::uint64_t all)
{
    const Json within{
        {{"ms", 1.0}, {"reads", in_one}}, {{"ms", 100.0}, {"reads", in_hundred}}, {{"ms", nullptr}, {"reads", all}}};
    return {{"front_ends", {{"fuse", {{"served", all}, {"within", within}}}}}};
}

/// Two images; the second is the busier one.
TopSample sample(double seconds, std::uint64_t reads)
{
    const auto image = [](const char* name, const char* cookie) {
        return Json{{"reference", name}, {"layers", {{{"fsid", cookie}, {"devices", Json::array()}}}}};
    };
    TopSample sample;
    sample.seconds = seconds;
    sample.status = {
        {"version", "0.1.0"},
        {"uptime_seconds", 100'000},
        {"takeovers", 2},
        {"front_end", {{"name", "fuse"}}},
        {"counters", {{"reads", reads}, {"reads_already_there", reads / 2}, {"reads_failed", 1}}},
        {"in_flight", {{"reads", 3}, {"oldest_read_ms", 1500}}},
        {"fetcher", {{"bytes_received", reads * 4096}, {"retries", 0}}},
        {"cache", {{"total_bytes", 1U << 30}, {"free_bytes", 1U << 29}, {"low_space", false}}}};
    sample.reads = reads_within(reads / 2, reads, reads);
    sample.images = {{"images", {image("registry.example/quiet:1", "aa"), image("registry.example/busy:1", "bb")}}};
    sample.blobs = {
        {"blobs",
         {{{"cookie", "aa"}, {"present", 4096}, {"erofs_size", 8192}, {"reads", 5}, {"users", Json::object()}},
          {{"cookie", "bb"}, {"present", 8192}, {"erofs_size", 8192}, {"reads", reads}, {"users", {{"fuse", 2}}}}}}};
    return sample;
}

TEST(Top, TellsWhatHappenedBetweenTwoSamples)
{
    const auto view = make_view(sample(10, 100), sample(12, 300));
    EXPECT_DOUBLE_EQ(view.reads_per_second, 100);
    EXPECT_DOUBLE_EQ(view.found_in_cache.value_or(0), 0.5);
    EXPECT_DOUBLE_EQ(view.failed_per_second, 0);
    EXPECT_DOUBLE_EQ(view.fetched_per_second, 100 * 4096);
    EXPECT_EQ(view.half_within_ms, 1.0);
    EXPECT_EQ(view.most_within_ms, 100.0);
    ASSERT_EQ(view.images.size(), 2U);
    EXPECT_EQ(view.images[0].reference, "registry.example/busy:1") << "the busiest first";
    EXPECT_DOUBLE_EQ(view.images[0].reads_per_second, 100);
    EXPECT_EQ(view.images[0].opened, 2U);
    EXPECT_EQ(view.images[1].stored, 4096U);
    EXPECT_EQ(view.images[1].size, 8192U);
}

TEST(Top, ADaemonThatWasStartedAnewHasNoNegativeRates)
{
    const auto view = make_view(sample(10, 300), sample(11, 100));
    EXPECT_DOUBLE_EQ(view.reads_per_second, 0);
    EXPECT_FALSE(view.found_in_cache);
    EXPECT_FALSE(view.half_within_ms);
    EXPECT_DOUBLE_EQ(view.images[0].reads_per_second, 0);
}

TEST(Top, WhatADaemonDoesNotSayIsLeftOut)
{
    const auto view = make_view({}, {});
    EXPECT_TRUE(view.images.empty());
    EXPECT_THAT(render(view, 80, 24), HasSubstr("- free of -"));
    EXPECT_EQ(to_json(view)["found_in_cache"], nullptr);
}

TEST(Top, APageFitsItsTerminal)
{
    auto before = sample(10, 100);
    auto now = sample(11, 200);
    now.images["images"][0]["reference"] = std::string(200, 'x') + "/the-end:1";
    now.blobs["blobs"][0]["last_error"] = {{"kind", "denied"}, {"message", "registry.example answered 401"}};
    const auto page = render(make_view(before, now), 80, 24);
    std::size_t begin = 0;
    for (auto end = page.find('\n'); end != std::string::npos; end = page.find('\n', begin)) {
        EXPECT_LE(end - begin, 80U) << page.substr(begin, end - begin);
        begin = end + 1;
    }
    EXPECT_THAT(page, HasSubstr("up 1d 03:46"));
    EXPECT_THAT(page, HasSubstr("/the-end:1"));
    EXPECT_THAT(page, HasSubstr("registry.example answered 401"));
    EXPECT_THAT(page, HasSubstr("3, the oldest for 1.5 s; half of all within 1 ms, 99 % within 100 ms"));
    const auto low = render(make_view(before, now), 80, 8);
    EXPECT_EQ(std::count(low.begin(), low.end(), '\n'), 8);
    EXPECT_THAT(low, Not(HasSubstr("the-end")));
}

} // namespace
} // namespace sluice::tools
