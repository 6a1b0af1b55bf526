// SPDX-License-Identifier: Apache-2.0
#include "daemon/clean_stop.hpp"
#include "tests/support/temp_dir.hpp"

#include <functional>
#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

class CleanStopTest : public ::testing::Test {
protected:
    /// A daemon's life; whether the one before it had left the cache in order.
    bool live(const std::function<void(CleanStop&)>& end = {}, const std::string& boot = "this one")
    {
        const auto cache = cache::CacheDir::open(dir_.path());
        EXPECT_TRUE(cache) << cache.error().text();
        CleanStop stop{*cache, boot};
        if (end) {
            end(stop);
        }
        return stop.was_clean();
    }

    static void finish(CleanStop& stop) { stop.finish(); }

    static void hand_over(CleanStop& stop) { stop.hand_over(); }

    test::TempDir dir_;
};

TEST_F(CleanStopTest, OnlyWhoFinishedStoppedCleanly)
{
    EXPECT_FALSE(live()) << "nobody knows who has had a cache that is new to us";
    EXPECT_FALSE(live(finish)) << "the one before was killed";
    EXPECT_TRUE(live(finish));
    EXPECT_TRUE(live());
    EXPECT_FALSE(live()) << "the one before was killed, though the one before that was not";
}

TEST_F(CleanStopTest, WhatWasFinishedIsOnTheDiskWhateverTheBoot)
{
    (void)live(finish);
    EXPECT_TRUE(live({}, "another"));
}

TEST_F(CleanStopTest, AHandOverIsWorthSomethingInTheSameBootOnly)
{
    (void)live(hand_over);
    EXPECT_TRUE(live(hand_over));
    EXPECT_FALSE(live(hand_over, "another")) << "what was in memory may be lost";
    EXPECT_FALSE(live()) << "it was another boot that was handed over in";
}

TEST_F(CleanStopTest, AHandOverInABootWithoutANameIsWorthNothing)
{
    (void)live(hand_over, "");
    EXPECT_FALSE(live({}, ""));
}

TEST_F(CleanStopTest, TheLastWordCounts)
{
    (void)live([](CleanStop& stop) {
        stop.finish();
        stop.hand_over();
    });
    EXPECT_FALSE(live({}, "another"));
}

TEST_F(CleanStopTest, TheMachineNamesItsBoot)
{
    EXPECT_EQ(this_boot().size(), 36U);
    EXPECT_EQ(this_boot(), this_boot());
}

} // namespace
} // namespace sluice::daemon
