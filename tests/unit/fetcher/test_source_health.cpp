// SPDX-License-Identifier: Apache-2.0
#include "fetcher/source_blames.hpp"
#include "fetcher/source_health.hpp"

#include <gtest/gtest.h>

namespace sluice::fetcher {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using State = SourceHealth::State;

constexpr TimePoint kNow{seconds{1000}};

TEST(SourceHealth, AHostIsWhatStandsBeforeTheSlash)
{
    EXPECT_EQ(host_of_repository("registry.example:5000/team/app"), "registry.example:5000");
    EXPECT_EQ(host_of_repository("oci:/srv/images/app"), "oci:/srv/images/app");
}

TEST(SourceHealth, AFailureIsRememberedForFiveSecondsAndThenDoubted)
{
    SourceHealth health;
    EXPECT_EQ(health.state("a", kNow), State::kGood);
    health.failed("a", kNow);
    EXPECT_EQ(health.state("a", kNow + milliseconds{4999}), State::kBad);
    EXPECT_EQ(health.state("a", kNow + seconds{5}), State::kProbation);
    EXPECT_EQ(health.state("a", kNow + seconds{5} + minutes{5}), State::kGood);
    EXPECT_EQ(health.state("b", kNow), State::kGood);
}

TEST(SourceHealth, EachFurtherFailureDoublesThePenaltyUpToAMinute)
{
    SourceHealth health;
    auto now = kNow;
    for (const int expected : {5, 10, 20, 40, 60, 60}) {
        health.failed("a", now);
        EXPECT_EQ(health.state("a", now + seconds{expected} - milliseconds{1}), State::kBad) << expected;
        EXPECT_EQ(health.state("a", now + seconds{expected}), State::kProbation) << expected;
        now += seconds{expected};
    }
}

TEST(SourceHealth, AnAnswerWipesAllOut)
{
    SourceHealth health;
    health.failed("a", kNow);
    health.failed("a", kNow);
    health.succeeded("a");
    EXPECT_EQ(health.state("a", kNow), State::kGood);
    health.failed("a", kNow);
    EXPECT_EQ(health.state("a", kNow + seconds{5}), State::kProbation);
}

TEST(SourceHealth, WhileOneTriesItOutTheOthersNeedNot)
{
    SourceHealth health;
    health.failed("a", kNow);
    health.probing("a", kNow + seconds{6});
    EXPECT_EQ(health.state("a", kNow + seconds{15}), State::kBad);
    EXPECT_EQ(health.state("a", kNow + seconds{16}), State::kProbation);
    health.probing("b", kNow);
    EXPECT_EQ(health.state("b", kNow), State::kGood) << "nothing was wrong with it";
}

TEST(SourceHealth, ThousandsOfHostsAreNotRememberedForEver)
{
    SourceHealth health;
    health.failed("first", kNow);
    for (int i = 0; i < 2000; ++i) {
        health.failed("host" + std::to_string(i), kNow + seconds{1});
    }
    EXPECT_EQ(health.state("first", kNow + seconds{1}), State::kGood);
    EXPECT_EQ(health.state("host1999", kNow + seconds{1}), State::kBad);
}

TEST(SourceBlames, OnceIsASuspicionAndTwiceAtTheSamePlaceAConviction)
{
    const Digest blob;
    SourceBlames blames;
    blames.blame("r/a", blob, {4096, 12'288}, kNow);
    EXPECT_TRUE(blames.suspected("r/a", blob, kNow));
    EXPECT_FALSE(blames.suspected("r/b", blob, kNow));
    EXPECT_FALSE(blames.convicted("r/a", blob, {4096, 8192}, kNow));
    blames.blame("r/a", blob, {4096, 8192}, kNow);
    EXPECT_TRUE(blames.convicted("r/a", blob, {4096, 8192}, kNow));
    EXPECT_FALSE(blames.convicted("r/a", blob, {4096, 12'288}, kNow)) << "the second block came wrong only once";
    EXPECT_FALSE(blames.convicted("r/a", blob, {8192, 12'288}, kNow));
}

TEST(SourceBlames, AConvictionLastsASecondAndASuspicionAMinute)
{
    const Digest blob;
    SourceBlames blames;
    blames.blame("r/a", blob, {0, 4096}, kNow);
    blames.blame("r/a", blob, {0, 4096}, kNow + seconds{30});
    EXPECT_TRUE(blames.convicted("r/a", blob, {0, 4096}, kNow + seconds{30} + milliseconds{999}));
    EXPECT_FALSE(blames.convicted("r/a", blob, {0, 4096}, kNow + seconds{31}));
    EXPECT_TRUE(blames.suspected("r/a", blob, kNow + seconds{89}));
    EXPECT_FALSE(blames.suspected("r/a", blob, kNow + seconds{90}));
}

} // namespace
} // namespace sluice::fetcher
