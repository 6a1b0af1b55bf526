// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/keeper.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <utility>

namespace sluice::daemon {

namespace {

std::string describe(int status)
{
    return WIFSIGNALED(status) ? fmt::format("of signal {}", WTERMSIG(status))
                               : fmt::format("with status {}", WEXITSTATUS(status));
}

} // namespace

Keeper::Keeper(EventLoop& loop, Options options, NotifySocket socket)
    : loop_{loop}
    , options_{std::move(options)}
    , socket_{std::move(socket)}
    , hunger_{loop, [this] { starved(); }, "keeper: watchdog"}
    , again_{loop, [this] { start(); }, "keeper: next start"}
    , notifications_{loop, socket_.fd(), EPOLLIN, [this](std::uint32_t) { take_notifications(); }, "keeper: messages"}
{
    for (const int signal : {SIGTERM, SIGINT}) {
        signals_.push_back(std::make_unique<SignalSource>(
            loop, signal, [this] { end(); }, "keeper: signal to stop"
        ));
    }
    signals_.push_back(std::make_unique<SignalSource>(
        loop, SIGHUP, [this] { replace(); }, "keeper: signal to replace the daemon"
    ));
}

Keeper::~Keeper() = default;

void Keeper::start()
{
    const auto started = start_child(options_.command, kept_, socket_.path().string(), options_.watchdog);
    if (!started) {
        log::error("{}", started.error().text());
        if (const auto pause = policy_.ended({})) {
            again_.arm(*pause);
        } else {
            give_up(EXIT_FAILURE);
        }
        return;
    }
    child_ = *started;
    leaving_ = false;
    stopping_ = false;
    killed_it_ = false;
    ready_since_.reset();
    hunger_.arm(options_.stop_limit);
    child_source_ = std::make_unique<ChildSource>(
        loop_, child_, [this](int status) { child_ended(status); }, "keeper: end of the daemon"
    );
}

void Keeper::end()
{
    if (!ending_) {
        loop_.notify("STOPPING=1");
    }
    if (child_ < 0) {
        loop_.exit(EXIT_SUCCESS);
        return;
    }
    if (!ending_) {
        // It owes nothing to the watchdog any more, but may not take for ever.
        hunger_.arm(options_.stop_limit);
    }
    ending_ = true;
    signal_child(SIGINT);
}

void Keeper::replace()
{
    if (child_ >= 0 && !ending_) {
        log::notice("the daemon is replaced");
        signal_child(SIGTERM);
    }
}

void Keeper::signal_child(int signal)
{
    leaving_ = true;
    ::kill(child_, signal);
}

void Keeper::take_notifications()
{
    while (auto notification = socket_.receive()) {
        handle(std::move(*notification));
    }
}

void Keeper::handle(Notification notification)
{
    if (notification.from != child_ || child_ < 0) {
        log::debug("process {}, which is not the daemon, has sent a notification", notification.from);
        return;
    }
    if (notification.says("READY=1") && !ready_since_) {
        ready_since_ = SteadyClock::now();
        if (!leaving_ && !stopping_) {
            hunger_.arm(options_.watchdog);
        }
    }
    if (notification.says("WATCHDOG=1") && ready_since_ && !leaving_ && !stopping_) {
        hunger_.arm(options_.watchdog);
    }
    if (notification.says("STOPPING=1") && !stopping_) {
        // Whoever asked it to: its loop may be over already, and feeds the watchdog no more.
        stopping_ = true;
        hunger_.arm(options_.stop_limit);
    }
    forward(notification);
    if (notification.says("FDSTOREREMOVE=1")) {
        const auto name = notification.value("FDNAME");
        std::erase_if(kept_, [&name](const KeptDescriptor& one) { return one.name == name; });
    }
    if (notification.says("FDSTORE=1")) {
        store(std::move(notification));
    }
}

void Keeper::store(Notification notification)
{
    const auto name = notification.value("FDNAME");
    if (name.empty() || name.find(':') != std::string::npos) {
        log::warning("the daemon wants descriptors kept under the name \"{}\", which cannot be", printable(name));
        return;
    }
    for (auto& descriptor : notification.descriptors) {
        if (kept_.size() == kMostKept) {
            log::warning("the daemon wants more than {} descriptors kept: \"{}\" is not", kMostKept, printable(name));
            return;
        }
        kept_.push_back({name, std::move(descriptor)});
    }
}

void Keeper::forward(const Notification& notification)
{
    std::string told;
    for (const auto& line : notification.lines) {
        const bool ours = line.rfind("FD", 0) == 0 || line.rfind("WATCHDOG", 0) == 0 ||
                          line.rfind("STOPPING", 0) == 0 || line.rfind("MAINPID", 0) == 0;
        if (!ours) {
            told += (told.empty() ? "" : "\n") + line;
        }
    }
    if (!told.empty()) {
        loop_.notify(told);
    }
}

void Keeper::starved()
{
    log::error(
        "the daemon (process {}) {}, and is killed",
        child_,
        leaving_ || stopping_ ? "does not end"
        : ready_since_        ? "has not fed the watchdog"
                              : "does not become ready"
    );
    killed_it_ = true;
    ::kill(child_, SIGKILL);
}

void Keeper::child_ended(int status)
{
    take_notifications(); // its last words
    child_ = -1;
    child_source_.reset();
    hunger_.cancel();
    if (ending_) {
        loop_.exit(EXIT_SUCCESS);
        return;
    }
    Ending ending;
    ending.was_ready = ready_since_.has_value();
    if (ready_since_) {
        ending.served = std::chrono::duration_cast<milliseconds>(SteadyClock::now() - *ready_since_);
    }
    ending.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !killed_it_;
    if (leaving_ && ending.was_ready) {
        start();
        return;
    }
    const auto pause = policy_.ended(ending);
    if (!pause) {
        log::error(
            "the daemon has ended {}, as it did {} times in a row: giving up, and letting go of what it served; "
            "\"sluiced --check-config\" and then \"sluiced --check-system\" may say why",
            describe(status),
            policy_.failures()
        );
        give_up(WIFEXITED(status) && WEXITSTATUS(status) != EXIT_SUCCESS ? WEXITSTATUS(status) : EXIT_FAILURE);
        return;
    }
    log::warning("the daemon has ended {}: the next one takes over in {} ms", describe(status), pause->count());
    again_.arm(*pause);
}

void Keeper::give_up(int status)
{
    kept_.clear();
    loop_.exit(status);
}

} // namespace sluice::daemon
