// SPDX-License-Identifier: Apache-2.0
// Who is let in at the library socket when several groups may, so that its mode keeps nobody out.
#include "tests/unit/protocol/socket_fixture.hpp"

#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace sluice::protocol {
namespace {

constexpr uid_t kStranger = 65534;

class SocketAccessTest : public LibraryFrontEndTest {
protected:
    void SetUp() override
    {
        LibraryFrontEndTest::SetUp();
        if (::geteuid() != 0) {
            GTEST_SKIP() << "only root can pretend to be somebody else";
        }
        config_.groups = {54321, 54322};
        std::filesystem::permissions(dir_.path(), std::filesystem::perms{0755});
    }

    /// A connection by a user who is in neither group. Of this thread alone, which is what the raw call is for.
    [[nodiscard]] std::unique_ptr<RawClient> stranger() const
    {
        EXPECT_EQ(::syscall(SYS_setresuid, -1, kStranger, -1), 0);
        auto client = std::make_unique<RawClient>(config_.socket);
        EXPECT_EQ(::syscall(SYS_setresuid, -1, 0, -1), 0);
        return client;
    }
};

TEST_F(SocketAccessTest, AStrangerIsToldSo)
{
    start();
    const auto client = stranger();
    client->hello();
    EXPECT_EQ(wait(*client).status, -EACCES);
    EXPECT_EQ(wait(*client).status, 1);
}

TEST_F(SocketAccessTest, StrangersTakeNobodysPlace)
{
    config_.max_clients = 2;
    config_.max_clients_per_user = 2;
    start();
    const auto first = opened();
    std::vector<std::unique_ptr<RawClient>> silent;
    for (int i = 0; i < 100; ++i) {
        silent.push_back(stranger());
    }
    ASSERT_TRUE(test::run_until(*loop_, [&] { return device_->socket_stats().refused == silent.size(); }));
    EXPECT_LT(device_->socket_stats().connected, 40U);
    const auto second = opened();
    RawClient third{config_.socket};
    third.hello();
    EXPECT_EQ(wait(third).status, -EBUSY);
    silent.back()->hello(); // the last ones to come are still there
    EXPECT_EQ(wait(*silent.back()).status, -EACCES);
}

} // namespace
} // namespace sluice::protocol
