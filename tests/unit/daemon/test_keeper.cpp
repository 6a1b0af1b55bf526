// SPDX-License-Identifier: Apache-2.0
#include "base/fd_store.hpp"
#include "daemon/keeper/keeper.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <memory>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sluice::daemon {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class KeeperTest : public test::FdLeakTest {
protected:
    void SetUp() override
    {
        FdLeakTest::SetUp();
        loop_ = std::make_unique<EventLoop>();
    }

    void TearDown() override
    {
        keeper_.reset();
        loop_.reset();
        FdLeakTest::TearDown();
    }

    void start(const std::string& mode)
    {
        options_.command = {KEPT_PROGRAM, mode, notes_.string()};
        auto socket = NotifySocket::make();
        ASSERT_TRUE(socket) << socket.error().text();
        socket_ = socket->path();
        keeper_ = std::make_unique<Keeper>(*loop_, options_, std::move(*socket));
        keeper_->start();
    }

    /// What the program has written down, a line each.
    std::vector<std::string> notes() const
    {
        std::ifstream in{notes_};
        std::vector<std::string> lines;
        for (std::string line; std::getline(in, line);) {
            lines.push_back(line);
        }
        return lines;
    }

    /// Of the program's life number `life`; waits until it is there.
    pid_t child_of(int life)
    {
        std::string found;
        const auto prefix = "life " + std::to_string(life) + " of ";
        EXPECT_TRUE(test::run_until(*loop_, [&] {
            for (const auto& line : notes()) {
                found = line.rfind(prefix, 0) == 0 ? line.substr(prefix.size()) : found;
            }
            return !found.empty();
        })) << prefix;
        return std::atoi(found.c_str()); // NOLINT
    }

    /// Ends the keeper as a user does, and returns its exit status.
    int end()
    {
        ::kill(::getpid(), SIGTERM);
        return loop_->run();
    }

    test::TempDir dir_;
    std::filesystem::path notes_ = dir_.path() / "notes";
    std::filesystem::path socket_;
    std::unique_ptr<EventLoop> loop_;
    Keeper::Options options_;
    std::unique_ptr<Keeper> keeper_;
};

TEST_F(KeeperTest, WhatTheDaemonHandsItIsGivenToTheNextOne)
{
    start("serving");
    ::kill(child_of(0), SIGKILL);
    ::kill(child_of(1), SIGSEGV);
    (void)child_of(2);
    EXPECT_EQ(end(), 0);
    const auto lines = notes();
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_THAT(lines[0], HasSubstr("with nothing"));
    EXPECT_THAT(lines[2], HasSubstr("with life"));
    EXPECT_EQ(lines[3], "ended") << "SIGINT: for good";
}

TEST_F(KeeperTest, HangingUpReplacesTheDaemon)
{
    start("serving");
    (void)child_of(0);
    ::kill(::getpid(), SIGHUP);
    (void)child_of(1);
    EXPECT_EQ(end(), 0);
    EXPECT_THAT(notes(), ElementsAre(StartsWith("life 0"), "left", StartsWith("life 1"), "ended"));
}

TEST_F(KeeperTest, ADaemonThatStarvesTheWatchdogIsSucceeded)
{
    options_.watchdog = milliseconds{200};
    start("starving");
    (void)child_of(1);
    EXPECT_EQ(end(), 0);
}

TEST_F(KeeperTest, ADaemonThatEndsByItselfMayTakeLongerThanTheWatchdogAllows)
{
    options_.watchdog = milliseconds{200};
    start("slow");
    ::kill(child_of(0), SIGTERM);
    (void)child_of(1);
    EXPECT_EQ(end(), 0);
    EXPECT_THAT(notes(), ElementsAre(StartsWith("life 0"), "left", StartsWith("life 1"), "ended"));
}

TEST_F(KeeperTest, ADaemonThatDoesNotHearThatItIsReplacedStarves)
{
    options_.watchdog = milliseconds{200};
    start("hung");
    (void)child_of(0);
    ::kill(::getpid(), SIGHUP);
    (void)child_of(1);
    EXPECT_EQ(end(), 0);
}

TEST_F(KeeperTest, ADaemonThatDoesNotEndIsKilledAndSucceeded)
{
    options_.stop_limit = milliseconds{300};
    start("deaf");
    (void)child_of(0);
    ::kill(::getpid(), SIGHUP);
    (void)child_of(1);
    EXPECT_EQ(end(), 0);
}

TEST_F(KeeperTest, ADaemonThatNeverStartsIsTriedFiveTimes)
{
    start("broken");
    EXPECT_EQ(loop_->run(), 3) << "its status";
    EXPECT_EQ(notes().size(), 5U);
}

TEST_F(KeeperTest, AProgramThatIsNotThereEndsTheKeeper)
{
    options_.command = {"/nonexistent/sluiced"};
    auto socket = NotifySocket::make();
    ASSERT_TRUE(socket);
    keeper_ = std::make_unique<Keeper>(*loop_, options_, std::move(*socket));
    keeper_->start();
    EXPECT_EQ(loop_->run(), 127);
}

TEST_F(KeeperTest, OnlyTheDaemonIsListenedTo)
{
    start("serving");
    (void)child_of(0);
    // This process is not the daemon.
    ::setenv("NOTIFY_SOCKET", socket_.c_str(), 1); // NOLINT
    ::setenv("FDSTORE", "1", 1);                   // NOLINT
    EXPECT_TRUE(FdStore::from_environment().keep("intruder", STDERR_FILENO));
    ::unsetenv("NOTIFY_SOCKET"); // NOLINT
    ::unsetenv("FDSTORE");       // NOLINT
    ::kill(::getpid(), SIGHUP);
    (void)child_of(1);
    EXPECT_EQ(end(), 0);
    EXPECT_THAT(notes(), Contains(HasSubstr("with life told")));
}

TEST_F(KeeperTest, NothingIsLeftOfItsSocket)
{
    start("serving");
    (void)child_of(0);
    EXPECT_TRUE(std::filesystem::exists(socket_));
    EXPECT_EQ(end(), 0);
    keeper_.reset();
    EXPECT_FALSE(std::filesystem::exists(socket_.parent_path()));
}

TEST(RestartPolicy, FiveFailuresBeforeTheFirstDaemonIsReadyAreTheEnd)
{
    RestartPolicy policy;
    for (const int pause : {20, 40, 80, 160}) {
        EXPECT_EQ(policy.ended({}), milliseconds{pause});
    }
    EXPECT_EQ(policy.ended({}), std::nullopt);
}

TEST(RestartPolicy, FiftyFailuresLaterAreTheEndWhichIsSomeTenSeconds)
{
    RestartPolicy policy;
    milliseconds all{0};
    for (unsigned i = 1; i < RestartPolicy::kMostLater; ++i) {
        const auto pause = policy.ended({.was_ready = true});
        ASSERT_TRUE(pause);
        all += *pause;
    }
    EXPECT_EQ(policy.ended({.was_ready = true}), std::nullopt);
    EXPECT_GT(all, milliseconds{10'000});
    EXPECT_LT(all, milliseconds{13'000});
}

TEST(RestartPolicy, WhatHasServedIsSucceededAtOnceHoweverOftenItIsKilled)
{
    RestartPolicy policy;
    for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(policy.ended({.was_ready = true, .killed = true}), milliseconds{0});
    }
}

TEST(RestartPolicy, ADaemonThatServesForASecondBeginsAnew)
{
    RestartPolicy policy;
    (void)policy.ended({.was_ready = true});
    (void)policy.ended({});
    EXPECT_EQ(policy.failures(), 2U);
    EXPECT_EQ(policy.ended({.was_ready = true, .served = RestartPolicy::kServed}), milliseconds{0});
    EXPECT_EQ(policy.failures(), 0U);
}

} // namespace
} // namespace sluice::daemon
