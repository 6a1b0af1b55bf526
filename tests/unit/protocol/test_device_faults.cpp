// SPDX-License-Identifier: Apache-2.0
//
// A kernel that misbehaves: nothing of it may end the daemon, leak a descriptor or leave somebody waiting who could
// have been answered.
#include "protocol/uapi.hpp"
#include "tests/unit/protocol/device_fixture.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>

namespace sluice::protocol {
namespace {

using test::FakeObjectState;

class DeviceFaultTest : public DeviceTest {
protected:
    void SetUp() override
    {
        DeviceTest::SetUp();
        ASSERT_TRUE(start().has_value());
    }

    void TearDown() override
    {
        if (!HasFatalFailure() && world_->handler.lost.empty()) {
            const auto object = opened("the daemon lives");
            const auto request = world_->kernel.read(object, {0, kBlockSize});
            EXPECT_TRUE(until([&] { return !world_->handler.reads.empty(); }));
            world_->handler.reads.clear();
            EXPECT_EQ(world_->kernel.result(request), EIO);
        }
        DeviceTest::TearDown();
    }

    template <typename Body>
    void raw(uapi::MessageHeader header, const Body& body)
    {
        std::vector<std::byte> bytes(sizeof header + sizeof body);
        if (header.len == 0) {
            header.len = static_cast<std::uint32_t>(bytes.size());
        }
        std::memcpy(bytes.data(), &header, sizeof header);
        std::memcpy(bytes.data() + sizeof header, &body, sizeof body);
        world_->kernel.send_raw(bytes);
    }

    [[nodiscard]] FrontEndStats stats() const { return world_->device->stats(); }
};

TEST_F(DeviceFaultTest, GarbageIsCountedAndSurvived)
{
    const std::array<std::byte, 1> one{std::byte{1}};
    world_->kernel.send_raw(one);
    world_->kernel.send_raw(std::vector<std::byte>(15));
    world_->kernel.send_raw(std::vector<std::byte>(uapi::kMessageMax, std::byte{0xff}));
    raw({900, 17, 0, 1}, uapi::ReadBody{0, 4096});
    raw({901, uapi::kOpRead, 9999, 1}, uapi::ReadBody{0, 4096});
    ASSERT_TRUE(until([&] { return stats().malformed == 5; }));
}

TEST_F(DeviceFaultTest, AReadWithABadRangeIsAnsweredAllTheSame)
{
    const auto object = opened();
    const auto request = world_->kernel.read(object, {});
    ASSERT_TRUE(until([&] { return world_->kernel.done(request); }));
    EXPECT_EQ(world_->kernel.result(request), EIO);
    EXPECT_EQ(stats().malformed, 1U);
    EXPECT_TRUE(world_->handler.reads.empty());
}

TEST_F(DeviceFaultTest, ASpoiledOpenIsRejectedAndItsDescriptorClosed)
{
    const auto spoil_length = [](std::vector<std::byte>& bytes) { bytes[8] ^= std::byte{0x40}; };
    const auto spoil_keys = [](std::vector<std::byte>& bytes) { bytes[16] ^= std::byte{0xff}; };
    const auto spoil_object = [](std::vector<std::byte>& bytes) {
        std::fill_n(bytes.begin() + 12, 4, std::byte{0xff});
    };
    for (const auto& spoil :
         std::vector<std::function<void(std::vector<std::byte>&)>>{spoil_length, spoil_keys, spoil_object}) {
        const auto object = world_->kernel.open_spoiled("erofs,test", "blob", spoil);
        ASSERT_TRUE(until([&] { return world_->kernel.state(object) == FakeObjectState::kFailed; }));
        EXPECT_EQ(world_->kernel.open_error(object), EINVAL);
        EXPECT_FALSE(world_->kernel.descriptor_open(object));
    }
    EXPECT_TRUE(world_->handler.opens.empty());
}

TEST_F(DeviceFaultTest, ADescriptorNumberThatIsNotTheKernelsIsLeftAlone)
{
    const UniqueFd ours{kAdoptFd, ::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const auto number = static_cast<std::uint32_t>(ours.get());

    struct {
        uapi::OpenBody open;
        std::array<char, 4> keys;
    } body{{2, 2, number, 0}, {'v', '\0', 'c', 'c'}};

    raw({77, uapi::kOpOpen, 0, 50}, body);
    ASSERT_TRUE(until([&] { return stats().malformed == 1; }));
    EXPECT_GE(::fcntl(ours.get(), F_GETFD), 0);
    EXPECT_TRUE(world_->handler.opens.empty());
}

TEST_F(DeviceFaultTest, ReadsAndClosesOfUnknownObjectsAreCounted)
{
    raw({500, uapi::kOpRead, 0, 4711}, uapi::ReadBody{0, 4096});
    raw({501, uapi::kOpRead, 0, uapi::kNoObject}, uapi::ReadBody{0, 4096});
    const uapi::MessageHeader close{502, uapi::kOpClose, sizeof close, uapi::kNoObject};
    std::vector<std::byte> bytes(sizeof close);
    std::memcpy(bytes.data(), &close, sizeof close);
    world_->kernel.send_raw(bytes);
    ASSERT_TRUE(until([&] { return stats().closes == 1; }));
    EXPECT_EQ(stats().unknown_objects, 2U);
    EXPECT_TRUE(world_->handler.events.empty());
}

TEST_F(DeviceFaultTest, AnObjectIdThatIsGivenTwiceReplacesTheFirst)
{
    const auto first = opened("first");
    const auto id = world_->kernel.object_id(first);
    world_->kernel.force_next_object_id(id);
    const auto second = opened("second");
    EXPECT_EQ(stats().replaced_objects, 1U);
    EXPECT_EQ(world_->handler.closed, std::vector{ObjectId{id}});
    EXPECT_FALSE(world_->kernel.descriptor_open(first));
    EXPECT_TRUE(world_->kernel.descriptor_open(second));
}

TEST_F(DeviceFaultTest, MessageIdsThatAreReusedAtOnceAreAnsweredOnceEach)
{
    remake({.reuse_ids = true});
    ASSERT_TRUE(start().has_value());
    const auto object = opened();
    for (int i = 0; i < 20; ++i) {
        const auto request = world_->kernel.read(object, {0, kBlockSize});
        ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
        EXPECT_EQ(request->message, 0U);
        world_->handler.reads.clear();
        EXPECT_TRUE(world_->kernel.done(request));
    }
    EXPECT_EQ(world_->kernel.counts().stale_completes, 0U);
}

TEST_F(DeviceFaultTest, CloseWithReadsPendingSendsNoLateAnswers)
{
    const auto object = opened();
    const auto first = world_->kernel.read(object, {0, kBlockSize});
    const auto second = world_->kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 2; }));
    world_->handler.drop_reads_on_close = false;
    world_->kernel.close(object);
    ASSERT_TRUE(until([&] { return !world_->handler.closed.empty(); }));
    EXPECT_EQ(world_->kernel.result(first), EIO);
    EXPECT_EQ(world_->kernel.result(second), EIO);
    EXPECT_FALSE(world_->kernel.descriptor_open(object));
    world_->handler.reads.clear(); // answered after the end: the id could be somebody else's by now
    EXPECT_EQ(world_->kernel.counts().stale_completes, 0U);
    EXPECT_EQ(stats().reads_forgotten, 2U);
}

TEST_F(DeviceFaultTest, AKilledReaderIsNotAnError)
{
    const auto object = opened();
    const auto request = world_->kernel.read(object, {0, kBlockSize});
    ASSERT_TRUE(until([&] { return world_->handler.reads.size() == 1; }));
    world_->kernel.kill_reader(request);
    world_->handler.reads.clear();
    EXPECT_EQ(world_->kernel.counts().stale_completes, 1U);
    EXPECT_EQ(stats().reads_forgotten, 1U);
}

TEST_F(DeviceFaultTest, ErrnosOfSingleMessagesAreCountedByKind)
{
    for (const int code : {EMFILE, ENFILE, EFAULT, ENOMEM, EEXIST, EMFILE}) {
        world_->kernel.fail_read(code);
    }
    const auto failed = world_->kernel.open_failing("erofs,test", "blob", EMFILE);
    ASSERT_TRUE(until([&] { return world_->kernel.state(failed) == FakeObjectState::kFailed; }));
    ASSERT_TRUE(until([&] { return stats().read_errors[EMFILE] == 3; }));
    EXPECT_EQ(stats().read_errors[ENOMEM], 1U);
    EXPECT_EQ(stats().read_errors[EEXIST], 1U);
}

TEST_F(DeviceFaultTest, EndlessErrorsLetTheRestOfTheLoopRun)
{
    for (int i = 0; i < 200; ++i) {
        world_->kernel.fail_read(EIO);
    }
    bool ran = false;
    Timer timer{world_->loop, [&] { ran = true; }};
    timer.arm(milliseconds{1});
    ASSERT_TRUE(until([&] { return ran; }));
    ASSERT_TRUE(until([&] { return stats().read_errors[EIO] == 200; })) << "and intake goes on afterwards";
}

TEST_F(DeviceFaultTest, ATooLargeMessageIsAskedForWithMoreRoom)
{
    std::vector<std::byte> bytes(uapi::kMessageMax + 100, std::byte{7});
    world_->kernel.send_raw(bytes);
    ASSERT_TRUE(until([&] { return stats().malformed == 1; }));
    EXPECT_EQ(stats().read_errors[EMSGSIZE], 1U);
}

TEST_F(DeviceFaultTest, AWakeupForNothingIsNothing)
{
    world_->kernel.wake_for_nothing();
    ASSERT_TRUE(until([&] { return stats().empty_wakeups == 1; }));
    EXPECT_TRUE(world_->handler.events.empty());
}

TEST_F(DeviceFaultTest, AnAnswerThatTheKernelDoesNotTakeClosesTheObjectForTheCoreToo)
{
    const auto object = world_->kernel.open_object("erofs,test", "blob");
    ASSERT_TRUE(until([&] { return world_->handler.opens.size() == 1; }));
    const auto id = world_->handler.opens[0].object;
    world_->kernel.fail_command("copen", EINVAL);
    world_->handler.opens[0].pending.accept({kSize, {}, nullptr});
    EXPECT_TRUE(world_->handler.closed.empty()) << "not from within the call";
    ASSERT_TRUE(until([&] { return world_->handler.closed == std::vector{id}; }));
    EXPECT_FALSE(world_->kernel.descriptor_open(object));
    EXPECT_EQ(stats().open_answers_failed, 1U);
    world_->kernel.fail_command("copen", 0);
    world_->handler.opens.clear();
}

TEST_F(DeviceFaultTest, ADeadCacheIsToldOnce)
{
    const auto first = world_->kernel.open_object("erofs,test", "one");
    const auto second = world_->kernel.open_object("erofs,test", "two");
    ASSERT_TRUE(until([&] { return world_->handler.opens.size() == 2; }));
    world_->kernel.kill_cache();
    world_->handler.opens.clear();
    EXPECT_TRUE(world_->handler.lost.empty()) << "not from within the answer";
    ASSERT_TRUE(until([&] { return !world_->handler.lost.empty(); }));
    EXPECT_NE(world_->handler.lost.find("given up"), std::string::npos);
    EXPECT_FALSE(world_->kernel.descriptor_open(first));
    EXPECT_FALSE(world_->kernel.descriptor_open(second));
}

TEST_F(DeviceFaultTest, AHangUpIsTheEndAndNotALoop)
{
    world_->kernel.hang_up();
    ASSERT_TRUE(until([&] { return !world_->handler.lost.empty(); }));
}

} // namespace
} // namespace sluice::protocol
