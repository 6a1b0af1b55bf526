// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <string>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sluice::test {

/// A program that runs beside the test; killed and waited for at the end.
class Process {
public:
    /// Standard output goes to `out`, standard error to `log`; both are appended to.
    Process(std::vector<std::string> command, const std::string& out, const std::string& log)
    {
        std::vector<char*> arguments;
        for (auto& word : command) {
            arguments.push_back(word.data());
        }
        arguments.push_back(nullptr);
        constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND;
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), kFlags, 0644);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), kFlags, 0644);
        if (::posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ) != 0) {
            pid_ = -1;
        }
        posix_spawn_file_actions_destroy(&actions);
    }

    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    ~Process() { (void)end(SIGKILL); }

    [[nodiscard]] bool started() const noexcept { return pid_ > 0; }

    /// The exit status if it has ended, -1 while it runs, 128 and the signal when one has ended it.
    int poll()
    {
        int status = 0;
        if (pid_ > 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) {
            note(status);
        }
        return status_;
    }

    int end(int signal)
    {
        int status = 0;
        if (pid_ > 0) {
            ::kill(pid_, signal);
            while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
            }
            note(status);
        }
        return status_;
    }

private:
    void note(int status)
    {
        pid_ = -1;
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

    pid_t pid_ = -1;
    int status_ = -1;
};

} // namespace sluice::test
