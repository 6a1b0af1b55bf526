// SPDX-License-Identifier: Apache-2.0
#include "base/watchdog.hpp"
#include "tests/support/loop_fixture.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice {
namespace {

class WatchdogTest : public ::testing::Test {
protected:
    void SetUp() override
    {
        const auto name = "sluice-test-watchdog-" + std::to_string(::getpid());
        manager_ = UniqueFd{kAdoptFd, ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path + 1, name.data(), name.size());
        const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
        const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
        ASSERT_EQ(::bind(manager_.get(), generic, length), 0);
        ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);              // NOLINT
        ::setenv("WATCHDOG_USEC", "4000", 1);                            // NOLINT
        ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1); // NOLINT
    }

    void TearDown() override
    {
        for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
            ::unsetenv(name); // NOLINT
        }
    }

    std::string heard() const
    {
        std::array<char, 100> text{};
        const auto got = ::recv(manager_.get(), text.data(), text.size(), MSG_DONTWAIT);
        return got < 0 ? std::string{} : std::string(text.data(), static_cast<std::size_t>(got));
    }

    UniqueFd manager_;
    EventLoop loop_;
    int asked_ = 0;
};

TEST_F(WatchdogTest, ALoopThatTurnsFeedsItAgainAndAgain)
{
    const Watchdog watchdog{loop_, [] { return true; }};
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(test::run_until(loop_, [this] { return heard() == "WATCHDOG=1"; }));
    }
}

TEST_F(WatchdogTest, WhoIsNotWellDoesNotFeedIt)
{
    const Watchdog watchdog{loop_, [this] {
                                ++asked_;
                                return false;
                            }};
    EXPECT_TRUE(test::run_until(loop_, [this] { return asked_ == 3; }));
    EXPECT_EQ(heard(), "");
}

TEST_F(WatchdogTest, WhereNobodyWantsItNothingIsAsked)
{
    ::unsetenv("WATCHDOG_USEC"); // NOLINT
    const Watchdog watchdog{loop_, [this] {
                                ++asked_;
                                return true;
                            }};
    EXPECT_FALSE(loop_.run_once(milliseconds{0}));
    EXPECT_EQ(asked_, 0);
}

} // namespace
} // namespace sluice
