// SPDX-License-Identifier: Apache-2.0
#include "daemon/detach.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace sluice::daemon {

namespace {

[[noreturn]] void wait_for_child(int pipe, pid_t child)
{
    char byte = 0;
    if (::read(pipe, &byte, 1) == 1) {
        ::_exit(EXIT_SUCCESS);
    }
    int status = 0; // it has closed the pipe without a word, so it ends
    ::waitpid(child, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

} // namespace

Detacher::Detacher(const RunMode& mode) : leave_terminal_{mode.detach}, leave_stderr_{mode.log_to_syslog}
{
    if (mode.pid_file) {
        pid_file_ = std::filesystem::absolute(*mode.pid_file);
    }
    if (!mode.detach) {
        return;
    }
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw std::system_error{errno, std::system_category(), "cannot detach: pipe"};
    }
    const auto child = ::fork();
    if (child < 0) {
        throw std::system_error{errno, std::system_category(), "cannot detach: fork"};
    }
    if (child > 0) {
        ::close(ends[1]);
        wait_for_child(ends[0], child);
    }
    ::close(ends[0]);
    parent_ = UniqueFd{kAdoptFd, ends[1]};
    ::setsid();
}

Detacher::~Detacher()
{
    if (wrote_pid_file_) {
        ::unlink(pid_file_->c_str());
    }
}

Result<void> Detacher::ready()
{
    if (pid_file_) {
        const UniqueFd file{
            kAdoptFd, ::open(pid_file_->c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644)};
        const auto text = fmt::format("{}\n", ::getpid());
        if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
            return fail_errno(errno, fmt::format("pid file {}", pid_file_->string()));
        }
        wrote_pid_file_ = true;
    }
    if (leave_terminal_) {
        const UniqueFd null{kAdoptFd, ::open("/dev/null", O_RDWR | O_CLOEXEC)};
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
            if (fd != STDERR_FILENO || leave_stderr_) {
                ::dup2(null.get(), fd);
            }
        }
        [[maybe_unused]] const int moved = ::chdir("/"); // so that no file system is kept busy by us
        [[maybe_unused]] const auto told = ::write(parent_.get(), "1", 1);
        parent_.reset();
    }
    return {};
}

} // namespace sluice::daemon
