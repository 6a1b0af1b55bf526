// SPDX-License-Identifier: Apache-2.0
// Daemons that follow each other on one fake kernel, while somebody keeps their descriptors.
#include "tests/integration/daemon_world.hpp"
#include "tests/support/descriptor_keeper.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

class TakeoverTest : public ::testing::Test {
protected:
    void SetUp() override
    {
        world.descriptors = keeper.next_life();
        world.start();
        layer = world.publish("good.key").layers.at(0);
        ASSERT_EQ(world.add_image().first, 200);
    }

    void succeed()
    {
        world.descriptors = keeper.next_life();
        world.start_daemon();
    }

    test::DescriptorKeeper keeper;
    World world;
    tools::PublishedLayer layer;
};

TEST_F(TakeoverTest, AHandOverLeavesWhatIsMountedToTheSuccessor)
{
    const auto object = world.open(World::cookie_of(layer));
    ASSERT_EQ(world.read(object, {0, 8192}), 0);
    EXPECT_THAT(keeper.names(), IsSupersetOf({"cachefiles", "read-ledger", "control", "library", "takeovers"}));
    world.daemon.reset();
    succeed();
    EXPECT_EQ(world.read(object, {0, layer.erofs_size}), 0);
    const auto status = world.ask("GET", "/v1/status").second;
    EXPECT_EQ(status["takeovers"], 1);
    EXPECT_EQ(status["images"], 1);
}

TEST_F(TakeoverTest, ADeathInTheMiddleOfAReadIsNotNoticedByItsReader)
{
    const auto object = world.open(World::cookie_of(layer));
    auto reading = std::async(std::launch::async, [&] { return world.kernel->read_blocking(object, {0, 8192}); });
    // The kernel has handed it out, and nobody has answered yet.
    EXPECT_TRUE(test::run_until(world.loop, [&] { return world.daemon->counters().reads > 0; }));
    for (int life = 0; life < 5; ++life) {
        world.daemon.reset();
        succeed();
    }
    EXPECT_TRUE(test::run_until(world.loop, [&] {
        return reading.wait_for(milliseconds{0}) == std::future_status::ready;
    }));
    EXPECT_EQ(reading.get(), 0);
    EXPECT_EQ(world.ask("GET", "/v1/status").second["takeovers"], 5);
}

TEST_F(TakeoverTest, WhatIsMountedOfAnImageThatIsTrustedNoMoreCanBeReadAsFarAsItIsCached)
{
    const auto object = world.open(World::cookie_of(layer));
    ASSERT_EQ(world.read(object, {0, 8192}), 0);
    world.daemon.reset();
    world.config.trusted_keys = {{world.dir.path() / "other.pub", {}}};
    succeed();
    const auto opens = [this] {
        const auto commands = world.kernel->commands();
        return std::count_if(commands.begin(), commands.end(), [](const std::string& command) {
            return command.rfind("copen ", 0) == 0;
        });
    };
    const auto before = opens();
    EXPECT_EQ(world.read(object, {0, 8192}), 0);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(world.read(object, {0, layer.erofs_size}), EIO);
    }
    EXPECT_EQ(opens(), before + 1) << "the kernel asks only once";
    EXPECT_EQ(world.kernel->size(object), layer.erofs_size);
    world.daemon.reset();
    world.config.trusted_keys = {{world.dir.path() / "good.pub", {}}};
    succeed();
    EXPECT_EQ(world.read(object, {0, layer.erofs_size}), 0);
}

TEST_F(TakeoverTest, MountsOfAPredecessorThatWasNotTakenOverCanBeTold)
{
    const auto source = [this] { return world.add_image().second["mount_source"].get<std::string>(); };
    const auto first = source();
    EXPECT_TRUE(first.starts_with("sluice:")) << first;
    world.daemon.reset();
    succeed();
    EXPECT_EQ(source(), first) << "its mounts are served";
    world.daemon.reset();
    keeper.clear();
    succeed();
    EXPECT_NE(source(), first);
}

TEST_F(TakeoverTest, ALedgerOfAnotherLayoutIsReplacedAndWhatIsMountedIsServedStill)
{
    const auto source = [this] { return world.add_image().second["mount_source"].get<std::string>(); };
    const auto object = world.open(World::cookie_of(layer));
    const auto first = source();
    const auto request = world.kernel->read(object, {0, 8192});
    EXPECT_TRUE(test::run_until(world.loop, [&] { return world.daemon->counters().reads > 0; }));
    world.daemon.reset();
    const std::uint64_t other_layout = 0x736c75'6c6564ff;
    ASSERT_EQ(::pwrite(keeper.descriptor("read-ledger"), &other_layout, sizeof other_layout, 0), 8);
    succeed();
    EXPECT_TRUE(test::run_until(world.loop, [&] { return world.kernel->done(request); }));
    EXPECT_EQ(world.kernel->result(request), 0);
    const auto second = source();
    EXPECT_NE(second, first) << "its number is not known, so nobody can say that its mounts are alive";
    world.daemon.reset();
    succeed();
    EXPECT_EQ(source(), second) << "the new ledger is the one that is kept";
    EXPECT_EQ(world.read(object, {0, layer.erofs_size}), 0);
}

TEST_F(TakeoverTest, OnlyTheFirstEndCounts)
{
    world.daemon->leave(0);
    world.daemon->leave(1);
    world.daemon->stop(1);
    EXPECT_EQ(world.loop.run(), 0);
    world.daemon.reset();
    EXPECT_THAT(keeper.names(), IsSupersetOf({"cachefiles", "control"}));
}

TEST_F(TakeoverTest, AnEndForGoodLeavesNothing)
{
    world.daemon->stop(0);
    world.daemon.reset();
    EXPECT_THAT(keeper.names(), ElementsAre("takeovers"));
    EXPECT_FALSE(std::filesystem::exists(world.config.control_socket));
}

TEST_F(TakeoverTest, AStartThatFailsLeavesWhatIsMountedToTheNextOne)
{
    const auto object = world.open(World::cookie_of(layer));
    world.daemon.reset();
    world.kernel->fail_command("restore", ENOMEM);
    world.descriptors = keeper.next_life();
    {
        world.config.front_end = FrontEndMode::kAuto; // which would take the other front end
        Daemon failing{
            world.loop, world.config, world.kernel->io(), LayerReaper::Helper{"/bin/true", {}}, world.descriptors};
        const auto started = failing.start();
        ASSERT_FALSE(started);
        EXPECT_NE(started.error().text().find("what is mounted is left to the next start"), std::string::npos);
    }
    world.kernel->fail_command("restore", 0);
    succeed();
    EXPECT_EQ(world.read(object, {0, 8192}), 0);
}

} // namespace
} // namespace sluice::daemon
