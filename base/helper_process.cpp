// SPDX-License-Identifier: Apache-2.0
#include "base/helper_process.hpp"

#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace sluice {

namespace {

constexpr int kLastCapability = 63;
constexpr int kFirstOwn = 3; ///< descriptors from here on are nobody's in the helper

std::string_view value_of(const std::vector<std::string>& environment, std::string_view name)
{
    for (const std::string_view line : environment) {
        if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == '=') {
            return line.substr(name.size() + 1);
        }
    }
    return {};
}

/// All paths that the program may have, in order.
std::vector<std::string> candidates(const HelperProgram& program)
{
    const auto& name = program.arguments.front();
    if (name.find('/') != std::string::npos) {
        return {name};
    }
    std::vector<std::string> paths;
    auto rest = value_of(program.environment, "PATH");
    while (!rest.empty()) {
        const auto end = rest.find(':');
        const auto folder = rest.substr(0, end);
        if (!folder.empty()) { // the working directory is no place for programs
            paths.push_back(fmt::format("{}/{}", folder, name));
        }
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    return paths;
}

std::vector<char*> pointers(std::vector<std::string>& texts)
{
    std::vector<char*> all;
    all.reserve(texts.size() + 1);
    for (auto& text : texts) {
        all.push_back(text.data());
    }
    all.push_back(nullptr);
    return all;
}

/// What the child executes from; made before it is there.
struct Prepared {
    std::vector<char*> paths;
    std::vector<char*> arguments;
    std::vector<char*> environment;
    int input;
    int output;
    int errors;
    int report;
    bool keeps_capabilities;
};

// What follows runs in the child of a process with many threads: system calls only, no memory is allocated.

void give_up_capabilities() noexcept
{
    // Whoever may not drop from the bounding set loses all the same: no_new_privs keeps exec from giving any back.
    for (int i = 0; i <= kLastCapability; ++i) {
        ::prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    }
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const std::array<__user_cap_data_struct, 2> none{};
    ::syscall(SYS_capset, &header, none.data());
}

bool holds_capabilities() noexcept
{
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> now{};
    return ::syscall(SYS_capget, &header, now.data()) != 0 || (now[0].permitted | now[1].permitted) != 0;
}

void be_ordinary() noexcept
{
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open(2)
    const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        [[maybe_unused]] const auto written = ::write(score, "0", 1);
        ::close(score);
    }
    for (int i = 1; i < NSIG; ++i) {
        ::signal(i, SIG_DFL);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    ::setsid();
}

/// A copy of `fd`, or of /dev/null where that is below 0, above the standard ones. Below 0, with errno, where there is
/// none to be had.
int copy_above(int fd) noexcept
{
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open(2)
    const int from = fd < 0 ? ::open("/dev/null", O_RDWR | O_CLOEXEC) : fd;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): fcntl(2)
    return from < 0 ? -1 : ::fcntl(from, F_DUPFD_CLOEXEC, kFirstOwn);
}

/// The three standard ones, and `report` above them; nothing else. Yields 0, or the errno: with a standard one of ours
/// the program might print a secret into our log. `report` can be written to in any case.
int arrange_descriptors(const Prepared& prepared, int& report) noexcept
{
    report = prepared.report;
    const int moved = copy_above(prepared.report); // it may be where a standard one belongs
    if (moved < 0) {
        return errno;
    }
    report = moved;
    std::array<int, 3> standard{prepared.input, prepared.output, prepared.errors};
    for (int& fd : standard) { // all, before the first is replaced
        fd = copy_above(fd);
        if (fd < 0) {
            return errno;
        }
    }
    for (int place = STDIN_FILENO; const int fd : standard) {
        if (::dup2(fd, place++) < 0) { // what it makes of another one outlives exec
            return errno;
        }
    }
    if (moved != kFirstOwn && ::dup3(moved, kFirstOwn, O_CLOEXEC) != kFirstOwn) {
        return errno;
    }
    report = kFirstOwn;
    ::syscall(SYS_close_range, kFirstOwn + 1, ~0U, 0);
    return 0;
}

[[noreturn]] void give_up(int report, int error) noexcept
{
    [[maybe_unused]] const auto told = ::write(report, &error, sizeof error);
    ::_exit(127);
}

[[noreturn]] void become(const Prepared& prepared) noexcept
{
    int report = -1;
    if (const int failed = arrange_descriptors(prepared, report); failed != 0) {
        give_up(report, failed == ENOENT ? ENODEV : failed); // ENOENT would mean that there is no such program
    }
    be_ordinary();
    int error = EPERM;
    const bool sealed = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (!prepared.keeps_capabilities) {
        give_up_capabilities();
    }
    if (sealed && (prepared.keeps_capabilities || !holds_capabilities())) {
        error = ENOENT;
        for (const char* const path : prepared.paths) {
            if (path == nullptr) {
                break;
            }
            ::execve(path, prepared.arguments.data(), prepared.environment.data());
            if (errno != ENOENT && errno != ENOTDIR) {
                error = errno;
                break;
            }
        }
    }
    give_up(report, error);
}

} // namespace

Result<int> start_helper(const HelperProgram& program)
{
    const auto& name = program.arguments.front();
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail_errno(errno, fmt::format("cannot run {}", name));
    }
    const UniqueFd hear{kAdoptFd, ends[0]};
    UniqueFd report{kAdoptFd, ends[1]};
    auto paths = candidates(program);
    auto arguments = program.arguments;
    auto environment = program.environment;
    const Prepared prepared{
        pointers(paths),
        pointers(arguments),
        pointers(environment),
        program.input,
        program.output,
        program.errors,
        report.get(),
        program.keeps_capabilities};
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before); // no handler of ours may run in the child
    const auto child = ::fork();
    if (child == 0) {
        become(prepared);
    }
    const int fork_error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (child < 0) {
        return fail_errno(fork_error, fmt::format("cannot run {}", name));
    }
    report.reset();
    int error = 0;
    ssize_t got = 0;
    do {
        got = ::read(hear.get(), &error, sizeof error); // ends with its exec
    } while (got < 0 && errno == EINTR);
    if (got == static_cast<ssize_t>(sizeof error)) {
        ::waitpid(child, nullptr, 0);
        return fail_errno(error, fmt::format("cannot run {}", name));
    }
    return static_cast<int>(child);
}

} // namespace sluice
