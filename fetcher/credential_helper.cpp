// SPDX-License-Identifier: Apache-2.0
#include "fetcher/credential_helper.hpp"

#include "base/helper_process.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "fetcher/deadline_task.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>
#include <string.h> // NOLINT(modernize-deprecated-headers): explicit_bzero
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr std::size_t kMaxOutput = 64 * 1024;

std::string environment_line(const char* name, const char* fallback)
{
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody sets it
    return fmt::format("{}={}", name, value != nullptr ? value : fallback);
}

/// Helpers print what is wrong where they print secrets. So nothing of it is repeated but these, which are
/// docker-credential-helpers' own.
constexpr std::array<std::string_view, 2> kHarmless{"no credentials server URL", "no credentials username"};

struct HelperEnd {
    std::string output;
    std::string problem; ///< of ours with it
    int status = -1;
};

std::string why_it_failed(const HelperEnd& end)
{
    if (!end.problem.empty()) {
        return end.problem;
    }
    const auto* const known = std::find_if(kHarmless.begin(), kHarmless.end(), [&end](std::string_view phrase) {
        return end.output.find(phrase) != std::string::npos;
    });
    if (known != kHarmless.end()) {
        return std::string{*known};
    }
    if (end.status >= 0 && WIFSIGNALED(end.status)) {
        return fmt::format("ended by signal {}", WTERMSIG(end.status));
    }
    return fmt::format("exit status {}", end.status >= 0 ? WEXITSTATUS(end.status) : end.status);
}

/// A process that was killed. It may still be in the kernel for long, in a file system that hangs: the loop does not
/// wait for that.
void reap(int pid) noexcept
{
    if (::waitpid(pid, nullptr, WNOHANG) != 0) {
        return;
    }
    try {
        std::thread{[pid] { ::waitpid(pid, nullptr, 0); }}.detach();
    } catch (const std::system_error&) {
        // No thread to be had: it stays a zombie, which costs an entry in a table.
    }
}

/// The running helper. It talks over one socket pair: unlike two pipes, that is one descriptor to
/// watch, and writing to a helper that is gone raises no SIGPIPE.
class HelperProcess {
public:
    HelperProcess(EventLoop& loop, UniqueFd socket, int pid)
        : socket_{std::move(socket)}
        , pid_{pid}
        , ended_{loop}
        , child_{loop, pid, [this](int status) { on_exit(status); }}
    {
        try {
            output_.emplace(loop, socket_.get(), EPOLLIN, [this](std::uint32_t) { (void)read_some(); });
        } catch (const std::system_error& error) {
            ::kill(pid, SIGKILL); // its end is told in any case
            problem_ = error.what();
        }
    }

    HelperProcess(const HelperProcess&) = delete;
    HelperProcess& operator=(const HelperProcess&) = delete;

    ~HelperProcess()
    {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            reap(pid_);
        }
    }

    [[nodiscard]] const OneShot<HelperEnd>& ended() const noexcept { return ended_; }

private:
    /// False when there is nothing more to be read now.
    bool read_some()
    {
        std::array<char, 4096> buffer{};
        const auto got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        const bool is_over = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
        if (got > 0 && output_text_.size() + static_cast<std::size_t>(got) <= kMaxOutput) {
            output_text_.append(buffer.data(), static_cast<std::size_t>(got));
        }
        ::explicit_bzero(buffer.data(), buffer.size()); // the secret may have been in it
        if (is_over) {
            output_.reset(); // else the hang-up would be told again and again
        }
        return got > 0; // what is too long is thrown away, and will not parse
    }

    void on_exit(int status)
    {
        pid_ = -1; // reaped
        while (read_some()) {
        }
        ended_.setter().set(HelperEnd{std::move(output_text_), std::move(problem_), status});
    }

    UniqueFd socket_;
    int pid_;
    std::string output_text_;
    std::string problem_;
    OneShot<HelperEnd> ended_;
    ChildSource child_;
    std::optional<IoSource> output_;
};

Result<std::pair<UniqueFd, int>> spawn(const std::string& program, const std::string& key)
{
    std::array<int, 2> ends{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail_errno(errno, program);
    }
    UniqueFd ours{kAdoptFd, ends[0]};
    const UniqueFd theirs{kAdoptFd, ends[1]};
    // The key is shorter than any socket's buffer: this does not block.
    if (::send(ours.get(), key.data(), key.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(key.size()) ||
        ::shutdown(ours.get(), SHUT_WR) != 0) {
        return fail_errno(errno, program);
    }
    const HelperProgram helper{
        {program, "get"},
        {environment_line("PATH", "/usr/local/bin:/usr/bin:/bin"), environment_line("HOME", "/root")},
        theirs.get(),
        theirs.get()};
    const auto pid = start_helper(helper);
    if (!pid && pid.error().kind() == ErrorKind::kNotFound) {
        return fail(
            ErrorKind::kDenied,
            fmt::format("{}: there is no such program in PATH; install it, or name another credential helper", program)
        );
    }
    if (!pid) {
        return fail(pid.error());
    }
    return std::pair{std::move(ours), *pid};
}

Task<Result<Credential>> ask(EventLoop& loop, std::string program, std::string key)
{
    auto started = spawn(program, key);
    if (!started) {
        co_return fail(std::move(started.error()));
    }
    const HelperProcess process{loop, std::move(started->first), started->second};
    const auto end = co_await process.ended();
    const bool exited = end.status >= 0 && WIFEXITED(end.status);
    if (exited && WEXITSTATUS(end.status) == 0) {
        co_return parse_helper_output(end.output, program);
    }
    if (end.output.find("credentials not found") != std::string::npos) {
        co_return Credential{};
    }
    co_return fail(
        ErrorKind::kDenied, fmt::format("{}: failed ({}); run it by hand to see why", program, why_it_failed(end))
    );
}

} // namespace

Task<Result<Credential>> ask_credential_helper(EventLoop& loop, std::string helper, std::string key, Deadline deadline)
{
    auto program = "docker-credential-" + helper;
    auto inner = ask(loop, program, std::move(key));
    auto credential = co_await with_deadline(loop, std::move(inner), deadline, std::move(program));
    co_return credential;
}

} // namespace sluice::fetcher
