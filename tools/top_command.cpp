// SPDX-License-Identifier: Apache-2.0
#include "tools/top_command.hpp"

#include "base/unique_fd.hpp"
#include "tools/top.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

namespace sluice::tools {

namespace {

/// The terminal without echo and line editing, for as long as this lives; nothing where stdin or stdout is none.
class KeyMode {
public:
    explicit KeyMode(bool wanted)
        : active_{wanted && ::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before_) == 0}
    {
        if (active_) {
            auto raw = before_;
            raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
            ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        }
    }

    KeyMode(const KeyMode&) = delete;
    KeyMode& operator=(const KeyMode&) = delete;

    ~KeyMode()
    {
        if (active_) {
            ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
        }
    }

    [[nodiscard]] bool active() const noexcept { return active_; }

private:
    termios before_{};
    bool active_;
};

/// Waits for the next page or the end.
class Pace {
public:
    Pace() : keys_{::isatty(STDOUT_FILENO) == 1}
    {
        sigset_t ends;
        sigemptyset(&ends);
        sigaddset(&ends, SIGINT);
        sigaddset(&ends, SIGTERM);
        ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
        signals_ = UniqueFd{kAdoptFd, ::signalfd(-1, &ends, SFD_CLOEXEC)};
    }

    /// False when it is to end.
    [[nodiscard]] bool wait(milliseconds interval) const
    {
        const auto until = SteadyClock::now() + interval;
        for (;;) {
            const auto left = std::chrono::ceil<milliseconds>(until - SteadyClock::now());
            if (left.count() <= 0) {
                return true;
            }
            pollfd watched[] = {{signals_.get(), POLLIN, 0}, {keys_.active() ? STDIN_FILENO : -1, POLLIN, 0}};
            if (::poll(watched, std::size(watched), static_cast<int>(left.count())) < 0 && errno != EINTR) {
                return false;
            }
            char key = 0;
            if (watched[0].revents != 0 ||
                (watched[1].revents != 0 && (::read(STDIN_FILENO, &key, 1) < 1 || key == 'q'))) {
                return false;
            }
        }
    }

private:
    KeyMode keys_;
    UniqueFd signals_;
};

void show(const TopView& view, const TopRequest& request, bool terminal)
{
    constexpr std::size_t kWidth = 80;
    if (request.json) {
        fmt::print("{}\n", to_json(view).dump(-1, ' ', false, Json::error_handler_t::replace));
    } else if (terminal) {
        constexpr std::string_view kHomeAndClear = "\x1b[H\x1b[J";
        winsize size{};
        const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 1;
        fmt::print(
            "{}{}", kHomeAndClear, known ? render(view, size.ws_col, size.ws_row - 1U) : render(view, kWidth, 24)
        );
    } else {
        fmt::print("{}", render(view, kWidth, static_cast<std::size_t>(-1)));
    }
    std::fflush(stdout);
}

} // namespace

Result<void> run_top(ControlApi& daemon, const TopRequest& request)
{
    const bool terminal = ::isatty(STDOUT_FILENO) == 1 && !request.json;
    const auto count = request.count == 0 && !terminal ? 1 : request.count;
    const Pace pace;
    auto before = take_sample(daemon);
    for (unsigned shown = 0; before && (count == 0 || shown < count); ++shown) {
        if (!pace.wait(request.interval)) {
            return {};
        }
        auto now = take_sample(daemon);
        if (now) {
            show(make_view(*before, *now), request, terminal);
        }
        before = std::move(now);
    }
    return before ? Result<void>{} : fail(before.error());
}

} // namespace sluice::tools
