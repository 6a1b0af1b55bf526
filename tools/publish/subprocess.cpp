// SPDX-License-Identifier: Apache-2.0
#include "tools/publish/subprocess.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <spawn.h>
#include <string_view>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::tools {

namespace {

constexpr std::size_t kMaxHead = 2048; // of standard error, the first bytes: usage may follow,
constexpr std::size_t kMaxTail = 2048; // and the last ones
constexpr std::size_t kMaxLine = 300;
constexpr std::size_t kFirstLines = 3;
constexpr std::size_t kLastLines = 2;

// posix_spawn's attribute objects, which must be destroyed on each path.
class SpawnSetup {
public:
    explicit SpawnSetup(int errors_fd)
    {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
        ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        ::posix_spawn_file_actions_adddup2(&actions_, errors_fd, STDERR_FILENO);
        // We block signals that the loop takes, and ignore SIGPIPE: neither is the child's affair.
        sigset_t none;
        sigset_t defaults;
        ::sigemptyset(&none);
        ::sigemptyset(&defaults);
        ::sigaddset(&defaults, SIGPIPE);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
        ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }

    SpawnSetup(const SpawnSetup&) = delete;
    SpawnSetup& operator=(const SpawnSetup&) = delete;

    ~SpawnSetup()
    {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }

    [[nodiscard]] const posix_spawn_file_actions_t* actions() const noexcept { return &actions_; }

    [[nodiscard]] const posix_spawnattr_t* attributes() const noexcept { return &attributes_; }

private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

std::vector<char*> pointers_to(std::vector<std::string>& texts)
{
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (auto& text : texts) {
        pointers.push_back(text.data());
    }
    pointers.push_back(nullptr);
    return pointers;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& added)
{
    std::vector<std::string> all = added;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view ours{*entry};
        const auto name = ours.substr(0, ours.find('=') + 1);
        bool replaced = false;
        for (const auto& other : added) {
            replaced = replaced || other.starts_with(name);
        }
        if (!replaced) {
            all.emplace_back(ours);
        }
    }
    return all;
}

// A running child; killed and reaped when it is still running at the end of this object's life.
class Child {
public:
    explicit Child(EventLoop& loop) : loop_{loop}, ended_{loop} {}

    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    ~Child()
    {
        watch_.reset();
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }

    [[nodiscard]] Result<void> start(std::vector<std::string> argv, std::vector<std::string> environment)
    {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
            return fail_errno(errno, argv[0] + ": pipe");
        }
        errors_fd_ = UniqueFd{kAdoptFd, ends[0]};
        const UniqueFd write_end{kAdoptFd, ends[1]};
        const SpawnSetup setup{write_end.get()};
        const auto arguments = pointers_to(argv);
        const auto variables = pointers_to(environment);
        const int code = ::posix_spawnp(
            &pid_, arguments[0], setup.actions(), setup.attributes(), arguments.data(), variables.data()
        );
        if (code != 0) {
            pid_ = -1;
            return fail_errno(code, fmt::format("cannot run {}", argv[0]));
        }
        watch_.emplace(loop_, pid_, [this](int status) {
            pid_ = -1;
            drain();
            ended_.setter().set(status);
        });
        errors_ = std::make_unique<IoSource>(loop_, errors_fd_.get(), EPOLLIN, [this](std::uint32_t) { drain(); });
        return {};
    }

    [[nodiscard]] const OneShot<int>& ended() const noexcept { return ended_; }

    /// The begin and the end of what it wrote.
    [[nodiscard]] std::string errors() const { return cut_ ? head_ + "\n...\n" + tail_ : head_ + tail_; }

private:
    void drain()
    {
        std::array<char, 1024> piece{};
        while (true) {
            const auto count = ::read(errors_fd_.get(), piece.data(), piece.size());
            if (count <= 0) {
                if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
                    errors_.reset();
                }
                return;
            }
            const std::string_view bytes{piece.data(), static_cast<std::size_t>(count)};
            const auto first = bytes.substr(0, kMaxHead - head_.size());
            head_ += first;
            tail_ += bytes.substr(first.size());
            if (tail_.size() > kMaxTail) {
                tail_.erase(0, tail_.size() - kMaxTail);
                cut_ = true;
            }
        }
    }

    EventLoop& loop_;
    OneShot<int> ended_;
    UniqueFd errors_fd_;
    std::string head_;
    std::string tail_;
    bool cut_ = false; // there was more between the two
    pid_t pid_ = -1;
    std::unique_ptr<IoSource> errors_; // after what their callbacks touch
    std::optional<ChildSource> watch_;
};

/// One line, without what stands in front of its words.
std::string bare_line(std::string_view line, std::string_view program)
{
    std::string text{line};
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c >= '\t' && c <= '\r'; }, ' '
    );
    std::string_view rest = trim(text);
    if (rest.starts_with('<')) { // "<E> erofs: ", "<W> erofs_io: "
        const auto mark = rest.find("> ");
        const auto colon = rest.find(": ");
        if (mark != std::string_view::npos && colon != std::string_view::npos) {
            rest = trim(rest.substr(colon + 2));
        }
    }
    if (rest.starts_with(program) && rest.substr(program.size()).starts_with(": ")) {
        rest = trim(rest.substr(program.size() + 2));
    }
    return printable(rest, kMaxLine);
}

} // namespace

std::string summarise_errors(std::string_view text, std::string_view program)
{
    std::vector<std::string> lines;
    for (const auto part : split(text, '\n')) {
        auto line = bare_line(part, program);
        if (equals_ignoring_case(std::string_view{line}.substr(0, 6), "usage:")) {
            break;
        }
        if (!line.empty()) {
            lines.push_back(std::move(line));
        }
    }
    if (lines.size() > kFirstLines + kLastLines + 1) {
        const auto first = lines.begin() + kFirstLines;
        lines.erase(first + 1, lines.end() - kLastLines);
        *first = "...";
    }
    std::string joined;
    for (const auto& line : lines) {
        joined += joined.empty() ? "" : "; ";
        joined += line;
    }
    return joined.empty() ? "it wrote no reason" : joined;
}

Task<Result<void>> run_program(EventLoop& loop, std::vector<std::string> argv, std::vector<std::string> environment)
{
    const auto name = argv.at(0);
    Child child{loop};
    auto started = child.start(std::move(argv), merged_environment(environment));
    if (!started) {
        co_return started;
    }
    const int status = co_await child.ended();
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        co_return Result<void>{};
    }
    const auto how = status != -1 && WIFSIGNALED(status)
                         ? fmt::format("ended by signal {}", WTERMSIG(status))
                         : fmt::format("exit status {}", status == -1 ? -1 : WEXITSTATUS(status));
    co_return fail(ErrorKind::kInternal, fmt::format("{}: {}: {}", name, how, summarise_errors(child.errors(), name)));
}

} // namespace sluice::tools
