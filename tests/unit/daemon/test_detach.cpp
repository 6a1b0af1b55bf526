// SPDX-License-Identifier: Apache-2.0
#include "daemon/detach.hpp"
#include "tests/support/temp_dir.hpp"

#include <array>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::daemon {
namespace {

std::string read_all(int fd)
{
    std::string text;
    char byte = 0;
    while (::read(fd, &byte, 1) == 1) {
        text += byte;
    }
    return text;
}

/// What a command does that detaches in `dir` with the pid file "pid"; the daemon writes to standard error and tells
/// over `pipe` whether its pid file is there. Never returns.
[[noreturn]] void detach_in(const std::filesystem::path& dir, int pipe, bool log_to_syslog)
{
    const auto log = dir / "stderr";
    const UniqueFd file{kAdoptFd, ::open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
    ::dup2(file.get(), STDERR_FILENO);
    if (::chdir(dir.c_str()) == 0) {
        Detacher detacher{{.detach = true, .log_to_syslog = log_to_syslog, .pid_file = "pid"}};
        const bool ready = detacher.ready().has_value() && ::access((dir / "pid").c_str(), F_OK) == 0;
        (void)!::write(STDERR_FILENO, "a message", 9);
        (void)!::write(pipe, ready ? "there" : "gone", ready ? 5 : 4);
    }
    ::_exit(0);
}

/// What is in the file that was standard error.
std::string message_of_a_daemon(const std::filesystem::path& dir, bool log_to_syslog)
{
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const auto child = ::fork();
    if (child == 0) {
        detach_in(dir, ends[1], log_to_syslog);
    }
    ::close(ends[1]);
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "the command succeeds once the daemon is ready";
    EXPECT_EQ(read_all(ends[0]), "there") << "the pid file is where the command was started";
    ::close(ends[0]);
    EXPECT_FALSE(std::filesystem::exists(dir / "pid")) << "and is removed from there";
    std::ifstream file{dir / "stderr"};
    return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
}

TEST(Detacher, KeepsStandardErrorWhereMessagesGoThere)
{
    const test::TempDir temp;
    EXPECT_EQ(message_of_a_daemon(temp.path(), false), "a message");
}

TEST(Detacher, LeavesStandardErrorWhereMessagesGoToTheSystemLog)
{
    const test::TempDir temp;
    EXPECT_EQ(message_of_a_daemon(temp.path(), true), "");
}

} // namespace
} // namespace sluice::daemon
