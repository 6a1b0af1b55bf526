// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/protocol/device_fixture.hpp"

#include <cerrno>
#include <fcntl.h>
#include <thread>

namespace sluice::protocol {
namespace {

using test::FakeObjectState;

class CachefilesDeviceTest : public DeviceTest {};

TEST_F(CachefilesDeviceTest, AnOpenIsDeliveredAndAccepted)
{
    ASSERT_TRUE(start().has_value());
    auto& handler = world_->handler;
    const auto object = world_->kernel.open_object("erofs,test", "blob");
    ASSERT_TRUE(until([&] { return handler.opens.size() == 1; }));
    EXPECT_EQ(handler.opens[0].volume, "erofs,test");
    EXPECT_EQ(handler.opens[0].cookie, "blob");
    EXPECT_EQ(handler.opens[0].object.value, world_->kernel.object_id(object));
    EXPECT_EQ(handler.opens[0].handle->missing({0, 1}).error().kind(), ErrorKind::kCancelled) << "not open yet";
    handler.opens[0].pending.accept({kSize + 1, {}, nullptr});
    EXPECT_EQ(world_->kernel.state(object), FakeObjectState::kOpen);
    EXPECT_EQ(world_->kernel.size(object), kSize + 1);
    EXPECT_EQ(world_->device->stats().opens_accepted, 1U);
    EXPECT_EQ(world_->device->stats().open_objects, 1U);
}

TEST_F(CachefilesDeviceTest, ObjectDescriptorsDoNotLeakIntoChildren)
{
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    EXPECT_NE(::fcntl(object->fd, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(world_->device->fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(CachefilesDeviceTest, AReadIsServedThroughTheObject)
{
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    world_->handler.serve_read = [&](ReadRequest request) {
        auto data = filled(request.range.size(), 0x42);
        EXPECT_TRUE(world_->handler.handles.at(request.object)->write(request.range.begin(), data.bytes()).has_value());
        request.pending.complete({});
    };
    const auto request = world_->kernel.read(object, {kBlockSize, 3 * kBlockSize});
    ASSERT_TRUE(until([&] { return world_->kernel.done(request); }));
    EXPECT_EQ(world_->kernel.result(request), 0);
    EXPECT_EQ(world_->device->stats().reads_answered, 1U);
    EXPECT_EQ(world_->kernel.counts().bad_writes, 0U);
}

TEST_F(CachefilesDeviceTest, AReadThatIsDroppedFailsItsReaderAtOnce)
{
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    const auto request = world_->kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    EXPECT_FALSE(world_->kernel.done(request));
    world_->handler.reads.clear();
    EXPECT_EQ(world_->kernel.result(request), EIO);
    EXPECT_EQ(world_->kernel.counts().completes, 1U);
}

TEST_F(CachefilesDeviceTest, ARejectedOpenClosesTheDescriptorThoughTheCoreHoldsTheHandle)
{
    ASSERT_TRUE(start().has_value());
    auto& handler = world_->handler;
    const auto object = world_->kernel.open_object("erofs,test", "blob");
    ASSERT_TRUE(until([&] { return handler.opens.size() == 1; }));
    const auto kept = handler.opens[0].handle;
    handler.opens[0].pending.reject(Error::from_errno(ENOENT, "gone"));
    EXPECT_EQ(world_->kernel.state(object), FakeObjectState::kFailed);
    EXPECT_EQ(world_->kernel.open_error(object), ENOENT);
    EXPECT_FALSE(world_->kernel.descriptor_open(object));
    EXPECT_EQ(kept->missing({0, 1}).error().kind(), ErrorKind::kCancelled);
    EXPECT_EQ(world_->device->stats().open_objects, 0U);
    EXPECT_EQ(world_->device->stats().opens_rejected, 1U);
    EXPECT_TRUE(handler.closed.empty()) << "the core rejected it itself";
}

TEST_F(CachefilesDeviceTest, AnOpenThatIsDroppedFailsItsMountAtOnce)
{
    ASSERT_TRUE(start().has_value());
    const auto object = world_->kernel.open_object("erofs,test", "blob");
    ASSERT_TRUE(until([&] { return world_->handler.opens.size() == 1; }));
    world_->handler.opens.clear();
    EXPECT_EQ(world_->kernel.open_error(object), EIO);
    EXPECT_FALSE(world_->kernel.descriptor_open(object));
}

TEST_F(CachefilesDeviceTest, ASizeBeyondTheKernelsRangeFailsTheOpen)
{
    ASSERT_TRUE(start().has_value());
    const auto object = world_->kernel.open_object("erofs,test", "blob");
    ASSERT_TRUE(until([&] { return world_->handler.opens.size() == 1; }));
    const auto id = world_->handler.opens[0].object;
    world_->handler.opens[0].pending.accept({~0ULL, {}, nullptr});
    EXPECT_EQ(world_->kernel.open_error(object), EFBIG);
    ASSERT_TRUE(until([&] { return !world_->handler.closed.empty(); })) << "the core took it for open";
    EXPECT_EQ(world_->handler.closed[0], id);
}

TEST_F(CachefilesDeviceTest, CloseReachesTheCoreBeforeTheDescriptorGoes)
{
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    const auto id = ObjectId{world_->kernel.object_id(object)};
    const auto kept = world_->handler.handles.at(id);
    world_->kernel.close(object);
    ASSERT_TRUE(until([&] { return !world_->handler.closed.empty(); }));
    EXPECT_EQ(world_->handler.closed, std::vector{id});
    EXPECT_FALSE(world_->kernel.descriptor_open(object)) << "the next mount of the blob waits for this";
    EXPECT_EQ(world_->kernel.state(object), FakeObjectState::kClosed);
    EXPECT_EQ(kept->missing({0, 1}).error().kind(), ErrorKind::kCancelled);
}

TEST_F(CachefilesDeviceTest, AnIdleDeviceDoesNotWakeTheLoop)
{
    ASSERT_TRUE(start().has_value());
    EXPECT_FALSE(world_->loop.run_once(milliseconds{0})) << "its descriptor is writable all the time";
}

TEST_F(CachefilesDeviceTest, ManyRequestsAreTakenInSharesOfATurn)
{
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    constexpr std::size_t kMany = 300;
    std::vector<test::FakeRequestPtr> requests;
    for (std::size_t i = 0; i < kMany; ++i) {
        requests.push_back(world_->kernel.read(object, {0, kBlockSize}));
    }
    std::size_t taken = 0;
    std::size_t taken_when_other_ran = 0;
    world_->handler.serve_read = [&](ReadRequest) {
        if (++taken == 1) {
            world_->loop.defer([&] { taken_when_other_ran = taken; });
        }
    };
    ASSERT_TRUE(until([&] { return taken == kMany && taken_when_other_ran != 0; }));
    EXPECT_LT(taken_when_other_ran, kMany);
    EXPECT_EQ(taken_when_other_ran % 64, 0U);
}

TEST_F(CachefilesDeviceTest, ThousandsAtOnceAreAllAnswered)
{
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    std::vector<test::FakeRequestPtr> requests;
    for (std::uint64_t i = 0; i < 5000; ++i) {
        requests.push_back(world_->kernel.read(object, {i % 16 * kBlockSize, (i % 16 + 1) * kBlockSize}));
    }
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 5000; }));
    EXPECT_EQ(world_->kernel.counts().waiting, 5000U);
    world_->handler.reads.clear();
    EXPECT_EQ(world_->kernel.counts().waiting, 0U);
    EXPECT_EQ(world_->device->stats().reads_answered, 5000U);
}

TEST_F(CachefilesDeviceTest, BlockingReadersOnThreadsAreServed)
{
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    world_->handler.serve_read = [&](ReadRequest request) {
        auto data = filled(request.range.align_out(kBlockSize).size(), 1);
        (void)world_->handler.handles.at(request.object)->write(request.range.begin(), data.bytes());
    };
    std::atomic<int> finished = 0;
    std::atomic<int> failures = 0;
    {
        std::vector<std::jthread> readers;
        for (int i = 0; i < 4; ++i) {
            readers.emplace_back([&] {
                failures += world_->kernel.read_blocking(object, {0, kSize}) == 0 ? 0 : 1;
                ++finished;
            });
        }
        EXPECT_TRUE(until([&] { return finished == 4; }));
    }
    EXPECT_EQ(failures, 0);
}

TEST_F(CachefilesDeviceTest, ASuccessorIsAskedAgainForWhatWasLeftUnanswered)
{
    ASSERT_TRUE(start().has_value());
    auto& kernel = world_->kernel;
    const auto object = opened();
    const auto first = kernel.object_id(object);
    const auto request = kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));

    auto successor = config();
    successor.adopted = UniqueFd{kAdoptFd, ::fcntl(world_->device->fd(), F_DUPFD_CLOEXEC, 0)};
    successor.restore = true;
    world_->device.reset(); // its answers die with it: nobody is told anything
    world_->handler.reads.clear();
    world_->handler.handles.clear();
    EXPECT_FALSE(kernel.done(request));

    ASSERT_TRUE(start(std::move(successor)).has_value());
    EXPECT_TRUE(world_->device->can_restore());
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    EXPECT_NE(world_->handler.reads[0].object.value, first) << "a new generation has a new id";
    EXPECT_EQ(world_->handler.count("open blob"), 2U);
    world_->handler.reads.clear();
    EXPECT_EQ(kernel.result(request), EIO);
    const auto commands = kernel.commands();
    EXPECT_EQ(std::ranges::count(commands, "bind ondemand"), 1);
}

TEST_F(CachefilesDeviceTest, CachedRangesNeedNoDaemonAndSurviveANewGeneration)
{
    ASSERT_TRUE(start().has_value());
    auto& kernel = world_->kernel;
    const auto object = opened();
    const auto first = ObjectId{kernel.object_id(object)};
    auto data = filled(kBlockSize, 9);
    ASSERT_TRUE(world_->handler.handles.at(first)->write(0, data.bytes()).has_value());
    EXPECT_EQ(kernel.read_blocking(object, {0, kBlockSize}), 0);
    EXPECT_EQ(world_->device->stats().reads, 0U);
    kernel.close(object);
    ASSERT_TRUE(until([&] { return kernel.state(object) == FakeObjectState::kClosed; }));

    const auto again = opened();
    const auto second = ObjectId{kernel.object_id(again)};
    EXPECT_NE(second, first);
    EXPECT_TRUE(world_->handler.handles.at(second)->missing({0, kBlockSize}).value().empty());
    EXPECT_EQ(world_->handler.handles.at(second)->missing({0, kSize}).value().size(), 1U);
}

TEST_F(CachefilesDeviceTest, AStoppedDeviceDeliversNothingAndStillAnswers)
{
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    const auto first = world_->kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    world_->device->stop();
    const auto second = world_->kernel.read(object, {0, kBlockSize});
    world_->handler.reads.clear();
    EXPECT_EQ(world_->kernel.result(first), EIO);
    world_->loop.run_once(milliseconds{0});
    EXPECT_FALSE(world_->kernel.done(second));
    EXPECT_TRUE(world_->handler.reads.empty());
}

TEST_F(CachefilesDeviceTest, TheHandlerMayStopTheDeviceFromWithin)
{
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    world_->handler.serve_read = [&](ReadRequest) { world_->device->stop(); };
    const auto first = world_->kernel.read(object, {0, kBlockSize});
    const auto second = world_->kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->kernel.done(first); }));
    EXPECT_FALSE(world_->kernel.done(second));
}

} // namespace
} // namespace sluice::protocol
