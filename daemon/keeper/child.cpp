// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/child.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace sluice::daemon {

namespace {

constexpr int kFirstListened = 3;        ///< as sd_listen_fds(3) has it
constexpr int kCannotBecomeDaemon = 127; ///< as a shell says it

/// Moves the descriptors to 3, 4 and so on, without close-on-exec.
bool place(const std::vector<KeptDescriptor>& kept)
{
    // First out of the way: one of them may lie where another one has to go.
    std::vector<int> high;
    high.reserve(kept.size());
    for (const auto& one : kept) {
        high.push_back(::fcntl(one.descriptor.get(), F_DUPFD_CLOEXEC, kFirstListened + static_cast<int>(kMostKept)));
    }
    int next = kFirstListened;
    bool done = true;
    for (const int fd : high) {
        done = done && fd >= 0 && ::dup2(fd, next) == next;
        ++next;
    }
    return done;
}

void set(const char* name, const std::string& value)
{
    ::setenv(name, value.c_str(), 1); // NOLINT(concurrency-mt-unsafe): there is one thread
}

void describe(const std::vector<KeptDescriptor>& kept)
{
    if (kept.empty()) {
        for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}) {
            ::unsetenv(name); // NOLINT(concurrency-mt-unsafe)
        }
        return;
    }
    std::string names;
    for (const auto& one : kept) {
        names += (names.empty() ? "" : ":") + one.name;
    }
    set("LISTEN_FDS", fmt::format("{}", kept.size()));
    set("LISTEN_PID", fmt::format("{}", ::getpid()));
    set("LISTEN_FDNAMES", names);
}

[[noreturn]] void become(const std::vector<std::string>& command)
{
    std::vector<char*> argv;
    argv.reserve(command.size() + 1);
    for (const auto& word : command) {
        argv.push_back(const_cast<char*>(word.c_str())); // NOLINT: execv does not write
    }
    argv.push_back(nullptr);
    ::execv(argv.front(), argv.data());
    fmt::print(stderr, "sluiced: {}: {}\n", command.front(), std::strerror(errno)); // NOLINT(concurrency-mt-unsafe)
    ::_exit(kCannotBecomeDaemon);
}

} // namespace

Result<pid_t> start_child(
    const std::vector<std::string>& command,
    const std::vector<KeptDescriptor>& kept,
    const std::string& notify_socket,
    milliseconds watchdog
)
{
    const auto keeper = ::getpid();
    const auto child = ::fork();
    if (child < 0) {
        return fail_errno(errno, "the daemon cannot be started: fork");
    }
    if (child > 0) {
        return child;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGINT);
    if (::getppid() != keeper) {
        ::_exit(EXIT_FAILURE); // it died before it could be watched
    }
    sigset_t none;
    sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    if (!place(kept)) {
        fmt::print(stderr, "sluiced: what is kept cannot be passed on: {}\n", std::strerror(errno)); // NOLINT
        ::_exit(kCannotBecomeDaemon);
    }
    describe(kept);
    set("NOTIFY_SOCKET", notify_socket);
    set("FDSTORE", fmt::format("{}", kMostKept));
    set("WATCHDOG_USEC", fmt::format("{}", std::chrono::microseconds{watchdog}.count()));
    set("WATCHDOG_PID", fmt::format("{}", ::getpid()));
    become(command);
}

} // namespace sluice::daemon
