// SPDX-License-Identifier: Apache-2.0
#include "base/fd_store.hpp"
#include "tests/support/loop_fixture.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FdStoreTest : public test::FdLeakTest {
protected:
    static UniqueFd null() { return UniqueFd{kAdoptFd, ::open("/dev/null", O_RDWR | O_CLOEXEC)}; }

    /// A store whose keeper writes down what it is told.
    FdStore store_with(const std::vector<std::string>& names)
    {
        std::vector<FdStore::Named> inherited;
        for (const auto& name : names) {
            inherited.push_back({name, null()});
        }
        return {std::move(inherited), [this](const std::string& message, int descriptor) -> Result<void> {
                    told_.push_back(message + (descriptor >= 0 ? " with a descriptor" : ""));
                    return {};
                }};
    }

    /// Runs `check` in a process of its own, whose descriptors from 3 on are `count` of /dev/null.
    static int in_child(int count, const char* names, const char* pid, int (*check)())
    {
        const auto child = ::fork();
        if (child == 0) {
            const auto source = null();
            const auto high = ::fcntl(source.get(), F_DUPFD, 100);
            for (int i = 0; i < count; ++i) {
                ::dup2(high, 3 + i);
            }
            ::setenv("LISTEN_FDS", std::to_string(count).c_str(), 1);                             // NOLINT
            ::setenv("LISTEN_PID", pid != nullptr ? pid : std::to_string(::getpid()).c_str(), 1); // NOLINT
            ::setenv("LISTEN_FDNAMES", names, 1);                                                 // NOLINT
            ::_exit(check());
        }
        int status = -1;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    std::vector<std::string> told_;
};

TEST_F(FdStoreTest, WithoutAKeeperNothingIsKeptAndNothingFails)
{
    FdStore store;
    EXPECT_FALSE(store.keeps());
    EXPECT_FALSE(store.take("fuse"));
    EXPECT_TRUE(store.keep("fuse", null().get()));
    store.forget("fuse");
    store.settle();
}

TEST_F(FdStoreTest, EachInheritedDescriptorIsTakenOnce)
{
    auto store = store_with({"fuse", "control"});
    EXPECT_TRUE(store.take("control"));
    EXPECT_FALSE(store.take("control"));
    EXPECT_TRUE(store.take("fuse"));
    EXPECT_THAT(told_, IsEmpty());
}

TEST_F(FdStoreTest, OfTwoWithOneNameTheFirstCounts)
{
    auto store = store_with({"fuse", "fuse"});
    const auto before = test::count_open_fds();
    EXPECT_TRUE(store.take("fuse"));
    EXPECT_EQ(test::count_open_fds(), before - 2);
    EXPECT_FALSE(store.take("fuse"));
}

TEST_F(FdStoreTest, WhatIsKeptReplacesWhatHadItsName)
{
    auto store = store_with({"fuse"});
    const auto one = null();
    EXPECT_TRUE(store.keep("fuse", one.get()));
    EXPECT_TRUE(store.keep("library", one.get()));
    store.forget("library");
    store.forget("library");
    store.settle();
    EXPECT_THAT(
        told_,
        ElementsAre(
            "FDSTOREREMOVE=1\nFDNAME=fuse",
            "FDSTORE=1\nFDNAME=fuse\nFDPOLL=0 with a descriptor",
            "FDSTORE=1\nFDNAME=library\nFDPOLL=0 with a descriptor",
            "FDSTOREREMOVE=1\nFDNAME=library"
        )
    );
}

TEST_F(FdStoreTest, WhatNobodyTakesIsClosedAndForgotten)
{
    auto store = store_with({"fuse", "of-a-later-version"});
    const auto before = test::count_open_fds();
    const auto taken = store.take("fuse");
    store.settle();
    EXPECT_EQ(test::count_open_fds(), before - 1);
    EXPECT_THAT(told_, ElementsAre("FDSTOREREMOVE=1\nFDNAME=of-a-later-version"));
}

TEST_F(FdStoreTest, TheEnvironmentBringsDescriptorsAndIsCleared)
{
    EXPECT_EQ(
        in_child(
            2,
            "fuse:control",
            nullptr,
            [] {
                auto store = FdStore::from_environment();
                const auto fuse = store.take("fuse");
                const auto control = store.take("control");
                const bool right = fuse.get() == 3 && control.get() == 4 && ::fcntl(3, F_GETFD) == FD_CLOEXEC &&
                                   ::fcntl(4, F_GETFD) == FD_CLOEXEC;
                const bool cleared = std::getenv("LISTEN_FDS") == nullptr &&   // NOLINT
                                     std::getenv("LISTEN_FDNAMES") == nullptr; // NOLINT
                return right && cleared ? 0 : 1;
            }
        ),
        0
    );
}

TEST_F(FdStoreTest, DescriptorsOfAnotherProcessAreNotTaken)
{
    EXPECT_EQ(in_child(1, "fuse", "1", [] { return FdStore::from_environment().take("fuse") ? 1 : 0; }), 0);
}

TEST_F(FdStoreTest, NamesThatDoNotFitTheirNumberBringNothing)
{
    EXPECT_EQ(in_child(2, "fuse", nullptr, [] { return FdStore::from_environment().take("fuse") ? 1 : 0; }), 0);
}

TEST_F(FdStoreTest, AManagerWithoutAStoreKeepsNothing)
{
    const auto keeps = [](const char* fdstore) {
        const auto child = ::fork();
        if (child == 0) {
            ::setenv("NOTIFY_SOCKET", "@sluice-test-nobody", 1); // NOLINT
            ::setenv("FDSTORE", fdstore, 1);                     // NOLINT
            ::_exit(FdStore::from_environment().keeps() ? 1 : 0);
        }
        int status = -1;
        ::waitpid(child, &status, 0);
        return WEXITSTATUS(status) == 1;
    };
    EXPECT_FALSE(keeps(""));
    EXPECT_FALSE(keeps("0"));
    EXPECT_TRUE(keeps("16"));
}

/// As systemd does it: a datagram with the descriptor in it.
TEST_F(FdStoreTest, TheManagerIsSentTheDescriptorByName)
{
    const UniqueFd manager{kAdoptFd, ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto name = "sluice-test-manager-" + std::to_string(::getpid());
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), length), 0); // NOLINT
    const auto child = ::fork();
    if (child == 0) {
        ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1); // NOLINT
        ::setenv("FDSTORE", "4", 1);                        // NOLINT
        auto store = FdStore::from_environment();
        ::_exit(store.keep("fuse", null().get()) ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    ASSERT_EQ(status, 0);
    std::array<char, 200> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec io{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &io;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto got = ::recvmsg(manager.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    ASSERT_GT(got, 0);
    EXPECT_EQ(std::string(text.data(), static_cast<std::size_t>(got)), "FDSTORE=1\nFDNAME=fuse\nFDPOLL=0");
    const auto* rights = CMSG_FIRSTHDR(&message);
    ASSERT_NE(rights, nullptr);
    EXPECT_EQ(rights->cmsg_type, SCM_RIGHTS);
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(rights), sizeof descriptor);
    const UniqueFd received{kAdoptFd, descriptor};
    EXPECT_GE(::fcntl(received.get(), F_GETFD), 0);
}

} // namespace
} // namespace sluice
