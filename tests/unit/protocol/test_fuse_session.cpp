// SPDX-License-Identifier: Apache-2.0
//
// The kernel's part is played by the other end of a socket pair that keeps messages apart.
#include "protocol/fuse_session.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/unit/protocol/fuse_bytes.hpp"

#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::protocol {
namespace {

/// Keeps READs, and refuses the rest.
class Recorder final : public FuseOperations {
public:
    void lookup(FuseRequest request, std::string name) override
    {
        looked_up = std::move(name);
        request.error(ENOENT);
    }

    void get_attributes(FuseRequest request, std::uint64_t) override { request.error(ENOENT); }

    void open(FuseRequest request, std::uint64_t) override
    {
        order.emplace_back("open");
        request.error(ENOENT);
    }

    void read(FuseRequest request, std::uint64_t, std::uint64_t, std::size_t) override
    {
        order.emplace_back("read");
        reads.push_back(std::move(request));
    }

    void release(FuseRequest request, std::uint64_t) override
    {
        order.emplace_back("release");
        request.error(0);
    }

    void list(FuseRequest request, std::uint64_t, std::size_t) override { request.error(ENOENT); }

    void ended() override { ++ends; }

    std::string looked_up;
    std::vector<std::string> order;
    std::vector<FuseRequest> reads;
    int ends = 0;
};

class FuseSessionTest : public ::testing::Test {
protected:
    void SetUp() override
    {
        std::array<int, 2> ends{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
        kernel_.reset(ends[0]);
        auto state = FuseState::create("/run/sluice/blobs/0a1b2c3d");
        ASSERT_TRUE(state);
        channel_ = std::make_shared<FuseChannel>(UniqueFd{kAdoptFd, ends[1]}, std::move(*state));
        FuseOperations& operations = recorder_;
        session_ = std::make_shared<FuseSession>(loop_, channel_, operations);
    }

    void TearDown() override { channel_->leave(); }

    void send(const std::string& message) const
    {
        ASSERT_EQ(::write(kernel_.get(), message.data(), message.size()), std::ssize(message));
    }

    /// The errno that the next answer has; 0 for success, -1 when there is none.
    [[nodiscard]] int answer() const
    {
        std::array<std::byte, 8192> bytes{};
        fuse_out_header head{};
        if (::read(kernel_.get(), bytes.data(), bytes.size()) < static_cast<ssize_t>(sizeof head)) {
            return -1;
        }
        std::memcpy(&head, bytes.data(), sizeof head);
        return -head.error;
    }

    /// Puts a request where a predecessor has left it.
    void leave(std::size_t slot, const std::string& message)
    {
        std::memcpy(channel_->state().slot(slot).data(), message.data(), message.size());
    }

    EventLoop loop_;
    UniqueFd kernel_;
    std::shared_ptr<FuseChannel> channel_;
    Recorder recorder_;
    std::shared_ptr<FuseSession> session_;
};

TEST_F(FuseSessionTest, WhatComesAfterAFullChannelWasFreedIsTaken)
{
    constexpr std::uint64_t kMore = FuseStateLayout::kSlots + 10;
    EXPECT_EQ(session_->start(), 0U);
    for (std::uint64_t i = 0; i < kMore; ++i) {
        send(fuse_read_bytes(2 + 2 * i, 1, 0, 4096));
        if (i < FuseStateLayout::kSlots) {
            ASSERT_TRUE(test::run_until(loop_, [&] { return recorder_.reads.size() == i + 1; }));
        }
    }
    while (loop_.run_once(milliseconds{0})) {
    }
    EXPECT_EQ(recorder_.reads.size(), FuseStateLayout::kSlots);
    recorder_.reads.front().error(EIO);
    ASSERT_TRUE(test::run_until(loop_, [&] { return recorder_.reads.size() == FuseStateLayout::kSlots + 1; }));
    recorder_.reads.back().error(EIO);
    ASSERT_TRUE(test::run_until(loop_, [&] { return recorder_.reads.size() == FuseStateLayout::kSlots + 2; }));
}

TEST_F(FuseSessionTest, OfAPredecessorsRequestsOpensComeFirstAndReleasesLast)
{
    fuse_release_in release{};
    release.fh = 1;
    leave(1, fuse_bytes_of(FUSE_RELEASE, 8, 2, release));
    leave(2, fuse_read_bytes(6, 1, 0, 4096));
    leave(3, fuse_bytes_of(FUSE_OPEN, 4, 2, fuse_open_in{}));
    EXPECT_EQ(session_->start(), 3U);
    EXPECT_EQ(recorder_.order, (std::vector<std::string>{"open", "read", "release"}));
}

TEST_F(FuseSessionTest, OperationsThatAFileSystemToReadDoesNotHaveAreRefused)
{
    (void)session_->start();
    for (const auto operation : {FUSE_WRITE, FUSE_GETXATTR, FUSE_FLUSH, FUSE_ACCESS, FUSE_READDIRPLUS}) {
        send(fuse_bytes(static_cast<std::uint32_t>(operation), 2, 2, std::string(64, '\0')));
        ASSERT_TRUE(loop_.run_once(std::chrono::seconds{5}));
        EXPECT_EQ(answer(), ENOSYS) << operation;
    }
    for (const auto operation : {FUSE_OPENDIR, FUSE_RELEASEDIR, FUSE_STATFS, FUSE_DESTROY}) {
        send(fuse_bytes(static_cast<std::uint32_t>(operation), 2, 1, std::string(64, '\0')));
        ASSERT_TRUE(loop_.run_once(std::chrono::seconds{5}));
        EXPECT_EQ(answer(), 0) << operation;
    }
}

TEST_F(FuseSessionTest, ThereIsOneDirectory)
{
    (void)session_->start();
    send(fuse_bytes(FUSE_LOOKUP, 2, 5, std::string{"name\0", 5}));
    ASSERT_TRUE(loop_.run_once(std::chrono::seconds{5}));
    EXPECT_EQ(answer(), ENOTDIR);
    EXPECT_EQ(recorder_.looked_up, "");
}

TEST_F(FuseSessionTest, AKernelThatIsTooOldIsRefused)
{
    (void)session_->start();
    send(fuse_bytes_of(FUSE_INIT, 2, 0, FuseOffer{7, 12, 4096, 0}));
    ASSERT_TRUE(loop_.run_once(std::chrono::seconds{5}));
    EXPECT_EQ(answer(), EPROTO);
}

TEST_F(FuseSessionTest, AConnectionThatEndsIsToldOnce)
{
    (void)session_->start();
    kernel_.reset();
    ASSERT_TRUE(test::run_until(loop_, [&] { return recorder_.ends > 0; }));
    while (loop_.run_once(milliseconds{0})) {
    }
    EXPECT_EQ(recorder_.ends, 1);
}

} // namespace
} // namespace sluice::protocol
