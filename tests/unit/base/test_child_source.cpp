// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/no_descriptors.hpp"

#include <array>
#include <fcntl.h>
#include <optional>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice {
namespace {

class ChildSourceTest : public test::FdLeakTest {
protected:
    /// A shell that ends with `code` when the test lets it.
    pid_t spawn(int code)
    {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        const UniqueFd theirs{kAdoptFd, ends[0]};
        leash_ = UniqueFd{kAdoptFd, ends[1]};
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDIN_FILENO);
        std::string shell = "sh";
        std::string option = "-c";
        std::string command = "read line; exit " + std::to_string(code);
        std::array<char*, 4> arguments{shell.data(), option.data(), command.data(), nullptr};
        pid_t pid = -1;
        EXPECT_EQ(::posix_spawn(&pid, "/bin/sh", &actions, nullptr, arguments.data(), environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        return pid;
    }

    UniqueFd leash_;
};

TEST_F(ChildSourceTest, TellsTheStatusOfAChildThatEnds)
{
    EventLoop loop;
    const auto pid = spawn(7);
    std::optional<int> status;
    const ChildSource child{loop, pid, [&](int how) { status = how; }};
    leash_.reset();
    ASSERT_TRUE(test::run_until(loop, [&] { return status.has_value(); }));
    EXPECT_TRUE(WIFEXITED(*status));
    EXPECT_EQ(WEXITSTATUS(*status), 7);
}

TEST_F(ChildSourceTest, NeedsNoDescriptor)
{
    EventLoop loop;
    const auto pid = spawn(7);
    std::optional<int> status;
    std::optional<ChildSource> child;
    {
        const test::NoDescriptors none;
        child.emplace(loop, pid, [&](int how) {
            status = how;
            child.reset(); // as its owners do
        });
    }
    leash_.reset();
    ASSERT_TRUE(test::run_until(loop, [&] { return status.has_value(); }));
    EXPECT_EQ(WEXITSTATUS(*status), 7);
    EXPECT_FALSE(child.has_value());
}

} // namespace
} // namespace sluice
