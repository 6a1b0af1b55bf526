// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fill_world.hpp"

#include <chrono>
#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

TEST(ReadDeadline, AReadThatAPredecessorLeftIsDueBeforeThoseThatCameSince)
{
    test::FillWorld world{64};
    world.policy.read_deadline = std::chrono::hours{1};
    world.source.hold();
    const auto young = world.read({65536, 69632});
    const auto left = world.read({4096, 8192}, true, nullptr, SteadyClock::now() - std::chrono::hours{1});
    ASSERT_TRUE(world.wait_for(left));
    EXPECT_EQ(world.answers.at(left).error().kind(), ErrorKind::kTimeout);
    EXPECT_FALSE(world.answered(young));
    world.source.release();
    EXPECT_TRUE(world.wait_for(young));
}

TEST(ReadDeadline, AReadThatIsOverdueWhenItIsTakenOverStillGetsWhatIsThere)
{
    test::FillWorld world{64};
    ASSERT_TRUE(world.wait_for(world.read({4096, 8192})));
    world.policy.read_deadline = std::chrono::hours{1};
    const auto left = world.read({4096, 8192}, true, nullptr, SteadyClock::now() - std::chrono::hours{2});
    ASSERT_TRUE(world.wait_for(left));
    EXPECT_TRUE(world.answers.at(left));
    EXPECT_EQ(world.counters.deadline_misses, 0U);
}

} // namespace
} // namespace sluice::daemon
