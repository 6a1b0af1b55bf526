// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_json.hpp"

#include <gmock/gmock.h>

namespace sluice::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ControlJson, LowSpaceIsToldWithWhatToDo)
{
    Config config;
    config.dir = "/var/cache/here";
    config.blocks.stop = 3;
    const auto ample = describe_cache(config, protocol::Space::Figures{1000, 400}, false);
    EXPECT_EQ(ample["low_space"], false);
    EXPECT_EQ(ample["free_bytes"], 400U);
    EXPECT_EQ(ample["total_bytes"], 1000U);
    EXPECT_FALSE(ample.contains("advice"));
    const auto low = describe_cache(config, protocol::Space::Figures{1000, 4}, true);
    EXPECT_EQ(low["low_space"], true);
    EXPECT_THAT(low["advice"], AllOf(HasSubstr("bstop (3 %)"), HasSubstr("make room"), HasSubstr("/var/cache/here")));
}

TEST(ControlJson, AFileSystemThatDoesNotAnswerHasNoSize)
{
    const auto cache = describe_cache(Config{}, std::nullopt, false);
    EXPECT_FALSE(cache.contains("free_bytes") || cache.contains("total_bytes"));
    EXPECT_EQ(cache["limits"]["bstop"], 1U);
}

TEST(ControlJson, SpaceIsLookedAtWhenSomebodyAsks)
{
    bool is_full = false;
    protocol::Space space{"/cache", CacheLimits{}, [&](const std::string&, struct statvfs& into) {
                              into.f_frsize = 4096;
                              into.f_blocks = 1000;
                              into.f_bavail = is_full ? 5 : 500;
                              return 0;
                          }};
    ASSERT_TRUE(space.look());
    EXPECT_FALSE(space.is_low());
    is_full = true; // by somebody else's writes: this daemon asks for no room
    const auto figures = space.look();
    ASSERT_TRUE(figures);
    EXPECT_EQ(figures->free_bytes, 5U * 4096U);
    EXPECT_TRUE(space.is_low());
}

TEST(ControlJson, TheKernelIsDescribed)
{
    MountFrontEnd front_end;
    front_end.can_restore = true;
    const auto kernel = describe_kernel(front_end);
    EXPECT_EQ(kernel["restore"], true);
    EXPECT_NE(kernel["release"], "unknown");
}

} // namespace
} // namespace sluice::daemon
