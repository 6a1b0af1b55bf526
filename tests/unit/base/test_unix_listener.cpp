// SPDX-License-Identifier: Apache-2.0
#include "base/unix_listener.hpp"
#include "tests/support/descriptor_keeper.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstring>
#include <filesystem>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class UnixListenerTest : public ::testing::Test {
protected:
    [[nodiscard]] UnixListener at(const std::filesystem::path& path) const
    {
        return {"test socket", path, SOCK_STREAM, 0600, {}};
    }

    /// A connected client; invalid when nobody listens.
    static UniqueFd connect(const std::filesystem::path& path)
    {
        UniqueFd client{kAdoptFd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.native().copy(address.sun_path, sizeof address.sun_path - 1);
        const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
        if (::connect(client.get(), generic, sizeof address) != 0) {
            client.reset();
        }
        return client;
    }

    static UniqueFd accept(const UniqueFd& listener)
    {
        return UniqueFd{kAdoptFd, ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    }

    test::TempDir dir_;
    std::filesystem::path path_ = dir_.path() / "socket";
    test::DescriptorKeeper keeper_;
};

TEST_F(UnixListenerTest, WhoConnectsBetweenTwoLivesIsAcceptedByTheSecond)
{
    {
        auto descriptors = keeper_.next_life();
        ASSERT_TRUE(listen_kept(descriptors, "control", at(path_)));
    }
    const auto client = connect(path_);
    EXPECT_TRUE(client);
    auto descriptors = keeper_.next_life();
    auto listener = at(path_);
    listener.mode = 0640;
    const auto second = listen_kept(descriptors, "control", listener);
    ASSERT_TRUE(second);
    EXPECT_TRUE(accept(*second));

    struct stat info {};

    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0640U) << "what the configuration says now";
}

TEST_F(UnixListenerTest, AnotherPathInTheConfigurationIsAnotherSocket)
{
    {
        auto descriptors = keeper_.next_life();
        ASSERT_TRUE(listen_kept(descriptors, "control", at(path_)));
    }
    auto descriptors = keeper_.next_life();
    const auto manager = keeper_.next_life().take("control"); // who has not heard yet that it is to be forgotten
    ASSERT_TRUE(manager);
    const auto moved = dir_.path() / "moved";
    ASSERT_TRUE(listen_kept(descriptors, "control", at(moved)));
    EXPECT_FALSE(connect(path_));
    EXPECT_TRUE(connect(moved));
    EXPECT_THAT(keeper_.names(), ElementsAre("control"));
}

TEST_F(UnixListenerTest, ASocketWhoseFileIsGoneIsMadeAnew)
{
    {
        auto descriptors = keeper_.next_life();
        ASSERT_TRUE(listen_kept(descriptors, "control", at(path_)));
    }
    ASSERT_TRUE(std::filesystem::remove(path_));
    auto descriptors = keeper_.next_life();
    const auto second = listen_kept(descriptors, "control", at(path_));
    ASSERT_TRUE(second);
    EXPECT_TRUE(connect(path_));
    EXPECT_TRUE(accept(*second));
}

TEST_F(UnixListenerTest, SomethingElseOfThatNameIsNotListenedAt)
{
    auto descriptors = keeper_.next_life();
    const UniqueFd other{kAdoptFd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ASSERT_TRUE(descriptors.keep("control", other.get()));
    auto next = keeper_.next_life();
    ASSERT_TRUE(listen_kept(next, "control", at(path_)));
    EXPECT_TRUE(connect(path_));
}

TEST_F(UnixListenerTest, OneThatSomebodyElseListensAtIsAnError)
{
    const auto first = listen_unix(at(path_));
    ASSERT_TRUE(first);
    FdStore nobody;
    const auto second = listen_kept(nobody, "control", at(path_));
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().text(), HasSubstr("another sluiced answers"));
    EXPECT_THAT(keeper_.names(), IsEmpty());
}

} // namespace
} // namespace sluice
