// SPDX-License-Identifier: Apache-2.0
// A front end over /dev/cachefiles whose predecessor has left the device to a keeper.
#include "tests/support/descriptor_keeper.hpp"
#include "tests/unit/protocol/device_fixture.hpp"

#include <algorithm>
#include <cerrno>
#include <gmock/gmock.h>

namespace sluice::protocol {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class TakeoverTest : public DeviceTest {
protected:
    void TearDown() override
    {
        world_->device.reset();
        world_->descriptors = FdStore{};
        keeper_.clear();
        DeviceTest::TearDown();
    }

    Result<void> start_next()
    {
        world_->device.reset();
        world_->descriptors = keeper_.next_life();
        return start();
    }

    /// As SIGKILL does it: nothing is answered, nothing is told.
    void die()
    {
        world_->device.reset();
        world_->handler.reads.clear();
        world_->handler.handles.clear();
    }

    std::ptrdiff_t times(const std::string& command) const
    {
        const auto commands = world_->kernel.commands();
        return std::count(commands.begin(), commands.end(), command);
    }

    test::DescriptorKeeper keeper_;
};

TEST_F(TakeoverTest, ADeathLeavesTheDeviceBoundAndItsReadsToTheSuccessor)
{
    ASSERT_TRUE(start_next());
    EXPECT_THAT(keeper_.names(), UnorderedElementsAre("cachefiles", "read-ledger"));
    const auto object = opened();
    const auto request = world_->kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    const auto arrival = world_->handler.reads[0].arrival;
    die();

    ASSERT_TRUE(start_next());
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    EXPECT_EQ(world_->handler.reads[0].arrival, arrival) << "its deadline is counted from there";
    EXPECT_EQ(world_->device->stats().replayed, 1U);
    EXPECT_EQ(times("bind ondemand"), 1);
    EXPECT_FALSE(world_->kernel.done(request));
    world_->handler.reads.clear(); // answers
    EXPECT_TRUE(world_->kernel.done(request));
}

TEST_F(TakeoverTest, AHandOverAnswersNothingThatTheSuccessorCanServe)
{
    ASSERT_TRUE(start_next());
    const auto object = opened();
    const auto request = world_->kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    world_->device->leave();
    world_->handler.reads.clear(); // the core drops what waits
    world_->handler.handles.clear();
    EXPECT_FALSE(world_->kernel.done(request));
    ASSERT_TRUE(start_next());
    EXPECT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    EXPECT_FALSE(world_->kernel.done(request));
}

TEST_F(TakeoverTest, AReadThatWasAnsweredIsNotReplayed)
{
    ASSERT_TRUE(start_next());
    const auto object = opened();
    (void)world_->kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    world_->handler.reads.clear();
    die();
    ASSERT_TRUE(start_next());
    (void)world_->kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    EXPECT_EQ(world_->device->stats().replayed, 0U);
}

TEST_F(TakeoverTest, AnEndForGoodLetsGoOfTheDevice)
{
    ASSERT_TRUE(start_next());
    world_->device->stop();
    EXPECT_THAT(keeper_.names(), IsEmpty());
    ASSERT_TRUE(start_next());
    EXPECT_EQ(times("bind ondemand"), 2);
}

TEST_F(TakeoverTest, ACacheThatDiedMeanwhileIsBoundAnew)
{
    ASSERT_TRUE(start_next());
    die();
    world_->kernel.kill_cache();
    ASSERT_TRUE(start_next()) << "the keeper has let go of the dead one before a new one was opened";
    EXPECT_EQ(times("bind ondemand"), 2);
    EXPECT_THAT(keeper_.names(), UnorderedElementsAre("cachefiles", "read-ledger"));
}

TEST_F(TakeoverTest, ADeadCacheThatIsLetGoOfDuringTheStartIsBoundAnewByIt)
{
    ASSERT_TRUE(start_next());
    die();
    world_->kernel.kill_cache();
    auto manager = keeper_.next_life().take("cachefiles"); // who hears during the start that it is to be forgotten
    ASSERT_TRUE(manager);
    world_->kernel.on_busy([&manager] { manager.reset(); });
    const auto started = start_next();
    ASSERT_TRUE(started) << started.error().text();
    EXPECT_FALSE(manager) << "the first try met a device that was busy";
    world_->kernel.on_busy(nullptr);
    EXPECT_EQ(times("bind ondemand"), 2);
}

TEST_F(TakeoverTest, ADeadCacheThatIsStillHeldIsLeftToTheNextStartWhichBindsAnew)
{
    ASSERT_TRUE(start_next());
    die();
    world_->kernel.kill_cache();
    auto manager = keeper_.next_life().take("cachefiles"); // who has not heard yet that it is to be forgotten
    ASSERT_TRUE(manager);
    world_->device.reset();
    world_->descriptors = keeper_.next_life();
    auto hurried = config();
    hurried.patience = milliseconds{0};
    const auto started = start(std::move(hurried));
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().text(), HasSubstr("the next start binds anew"));
    EXPECT_FALSE(is_passing(started.error().code())) << "nothing is left that could be taken over";
    manager.reset();
    ASSERT_TRUE(start_next());
    EXPECT_EQ(times("bind ondemand"), 2);
}

TEST_F(TakeoverTest, AMalformedOpeningAgainOfWhatIsMountedFailsItsReadsAndIsNotAskedForEver)
{
    ASSERT_TRUE(start_next());
    const auto object = opened();
    die();
    object->spoil = [](std::vector<std::byte>& bytes) { bytes[16] ^= std::byte{0xff}; };
    ASSERT_TRUE(start_next());
    world_->handler.serve_read = [](ReadRequest request) { const auto unanswered = std::move(request); };
    for (std::uint64_t block = 0; block < 2; ++block) {
        const auto request = world_->kernel.read(object, {block * kBlockSize, (block + 1) * kBlockSize});
        ASSERT_TRUE(until([&] { return world_->kernel.done(request); }));
        EXPECT_EQ(world_->kernel.result(request), EIO);
    }
    EXPECT_EQ(world_->device->stats().malformed, 1U) << "the kernel asks only once";
    EXPECT_EQ(world_->kernel.state(object), test::FakeObjectState::kOpen);
}

TEST_F(TakeoverTest, ATroubleThatPassesDoesNotDropTheDevice)
{
    ASSERT_TRUE(start_next());
    die();
    world_->kernel.fail_command("restore", ENOMEM);
    const auto started = start_next();
    ASSERT_FALSE(started);
    EXPECT_TRUE(is_passing(started.error().code()));
    EXPECT_THAT(keeper_.names(), Contains("cachefiles"));
    world_->kernel.fail_command("restore", 0);
    ASSERT_TRUE(start_next());
    EXPECT_EQ(times("bind ondemand"), 1);
}

} // namespace
} // namespace sluice::protocol
