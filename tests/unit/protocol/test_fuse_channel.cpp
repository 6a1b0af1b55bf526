// SPDX-License-Identifier: Apache-2.0
//
// The kernel's part is played by the other end of a socket pair that keeps messages apart.
#include "protocol/fuse_channel.hpp"
#include "protocol/fuse_request.hpp"
#include "tests/unit/protocol/fuse_bytes.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::protocol {
namespace {

class FuseChannelTest : public ::testing::Test {
protected:
    void SetUp() override
    {
        std::array<int, 2> ends{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
        kernel_.reset(ends[0]);
        auto state = FuseState::create("/run/sluice/blobs/0a1b2c3d");
        ASSERT_TRUE(state);
        channel_ = std::make_shared<FuseChannel>(UniqueFd{kAdoptFd, ends[1]}, std::move(*state));
    }

    void send(const std::string& message) const
    {
        ASSERT_EQ(::write(kernel_.get(), message.data(), message.size()), std::ssize(message));
    }

    struct Answer {
        int code = -1; ///< -1: none came
        std::uint64_t unique = 0;
        std::string body{};
    };

    [[nodiscard]] Answer answer() const
    {
        std::string bytes(8192, '\0');
        const auto got = ::read(kernel_.get(), bytes.data(), bytes.size());
        if (got < static_cast<ssize_t>(sizeof(fuse_out_header))) {
            return {};
        }
        bytes.resize(static_cast<std::size_t>(got));
        fuse_out_header head{};
        std::memcpy(&head, bytes.data(), sizeof head);
        EXPECT_EQ(head.len, bytes.size());
        return {-head.error, head.unique, bytes.substr(sizeof head)};
    }

    [[nodiscard]] FuseChannel::Got take()
    {
        return channel_->read([this] { ++freed_; });
    }

    [[nodiscard]] std::size_t in_use() { return channel_->state().slots_in_use().size(); }

    [[nodiscard]] FuseRequest request(std::size_t slot) { return {channel_, slot, SteadyClock::now()}; }

    UniqueFd kernel_;
    std::shared_ptr<FuseChannel> channel_;
    int freed_ = 0;
};

TEST_F(FuseChannelTest, ARequestKeepsItsSlotUntilItIsAnswered)
{
    send(fuse_read_bytes(6, 1, 0, 4096));
    const auto got = take();
    ASSERT_EQ(got.outcome, FuseChannel::Outcome::kRequest);
    EXPECT_TRUE(channel_->state().in_use(got.slot));
    auto waiting = request(got.slot);
    const std::string bytes{"data"};
    EXPECT_TRUE(waiting.data(std::as_bytes(std::span{bytes})));
    EXPECT_EQ(in_use(), 0U);
    const auto answered = answer();
    EXPECT_EQ(answered.code, 0);
    EXPECT_EQ(answered.unique, 6U);
    EXPECT_EQ(answered.body, "data");
}

TEST_F(FuseChannelTest, ARequestThatIsDroppedIsAnErrorOnce)
{
    send(fuse_read_bytes(6, 1, 0, 4096));
    {
        auto dropped = request(take().slot);
        const auto moved = std::move(dropped);
    }
    EXPECT_EQ(answer().code, EIO);
    EXPECT_EQ(answer().code, -1);
    EXPECT_EQ(in_use(), 0U);
}

TEST_F(FuseChannelTest, WhatHasNoAnswerFreesItsSlot)
{
    send(fuse_bytes_of(FUSE_FORGET, 4, 2, fuse_forget_in{1}));
    channel_->forget(take().slot);
    EXPECT_EQ(in_use(), 0U);
    EXPECT_EQ(answer().code, -1);
}

TEST_F(FuseChannelTest, AfterLeavingNothingIsAnsweredAndNothingIsLost)
{
    send(fuse_read_bytes(6, 1, 0, 4096));
    send(fuse_read_bytes(8, 1, 0, 4096));
    auto one = request(take().slot);
    {
        const auto dropped = request(take().slot);
        channel_->leave();
    }
    EXPECT_FALSE(one.error(EIO));
    EXPECT_EQ(answer().code, -1);
    EXPECT_EQ(in_use(), 2U);
}

TEST_F(FuseChannelTest, TheSlotOfAnAnswerThatNobodyWantsIsFreed)
{
    send(fuse_read_bytes(6, 1, 0, 4096));
    auto waiting = request(take().slot);
    kernel_.reset();
    ::signal(SIGPIPE, SIG_IGN);
    EXPECT_FALSE(waiting.error(EIO));
    EXPECT_EQ(in_use(), 0U);
}

TEST_F(FuseChannelTest, LongMessagesAreTakenWithTheirHead)
{
    send(fuse_bytes(FUSE_SETXATTR, 10, 2, std::string(6000, 'x')));
    const auto got = take();
    ASSERT_EQ(got.outcome, FuseChannel::Outcome::kRequest);
    EXPECT_EQ(parse_fuse_message(channel_->state().slot(got.slot)).value().unique, 10U);
    channel_->forget(got.slot);
}

TEST_F(FuseChannelTest, NothingToReadTakesNoSlot)
{
    for (std::size_t i = 0; i < FuseStateLayout::kSlots + 1; ++i) {
        ASSERT_EQ(take().outcome, FuseChannel::Outcome::kNothing);
    }
    kernel_.reset();
    EXPECT_EQ(take().outcome, FuseChannel::Outcome::kEnded);
}

TEST_F(FuseChannelTest, AnErrorThatIsNotTheEndOfTheConnectionEndsNothing)
{
    UniqueFd directory{kAdoptFd, ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    FuseChannel channel{std::move(directory), FuseState::create("/run/sluice/blobs/0a1b2c3d").value()};
    for (std::size_t i = 0; i < FuseStateLayout::kSlots + 1; ++i) {
        ASSERT_EQ(channel.read({}).outcome, FuseChannel::Outcome::kNothing); // EISDIR
    }
    EXPECT_TRUE(channel.state().slots_in_use().empty());
}

TEST_F(FuseChannelTest, AFullChannelTakesNoMoreAndSaysOnceWhenItCan)
{
    for (std::uint64_t i = 0; i < FuseStateLayout::kSlots; ++i) {
        send(fuse_read_bytes(2 + 2 * i, 1, 0, 4096));
        ASSERT_EQ(take().outcome, FuseChannel::Outcome::kRequest);
    }
    send(fuse_read_bytes(3, 1, 0, 4096));
    EXPECT_EQ(take().outcome, FuseChannel::Outcome::kFull);
    EXPECT_EQ(freed_, 0);
    channel_->forget(17);
    channel_->forget(18);
    EXPECT_EQ(freed_, 1);
    const auto got = take();
    EXPECT_EQ(got.outcome, FuseChannel::Outcome::kRequest);
    EXPECT_EQ(unique_of_fuse_message(channel_->state().slot(got.slot)), 3U);
    channel_->leave();
}

} // namespace
} // namespace sluice::protocol
