// SPDX-License-Identifier: Apache-2.0
//
// sd-event in RAII form. Each source keeps its state in a shared_ptr, and a running callback holds a reference of its
// own: a source may therefore be destroyed from inside its callback, which is what cancelling by destruction needs.
#include "base/event_loop.hpp"

#include <cassert>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

namespace sluice {

namespace {

constexpr milliseconds kLookAgain{100}; ///< at a child that cannot be watched

int check(int result, const char* what)
{
    if (result < 0) {
        throw std::system_error{-result, std::system_category(), what};
    }
    return result;
}

std::uint64_t to_usec(TimePoint when) noexcept
{
    const auto usec = std::chrono::duration_cast<std::chrono::microseconds>(when.time_since_epoch()).count();
    return usec < 0 ? 0 : static_cast<std::uint64_t>(usec);
}

} // namespace

void EventSourceDeleter::operator()(sd_event_source* source) const noexcept
{
    sd_event_source_disable_unref(source);
}

void EventLoop::EventDeleter::operator()(sd_event* event) const noexcept
{
    sd_event_unref(event);
}

EventLoop::EventLoop() : thread_{std::this_thread::get_id()}
{
    sd_event* event = nullptr;
    check(sd_event_new(&event), "cannot make an event loop");
    event_.reset(event);
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        throw std::system_error{errno, std::system_category(), "eventfd"};
    }
    wakeup_ = UniqueFd{kAdoptFd, fd};
    sd_event_source* source = nullptr;
    check(sd_event_add_io(event, &source, fd, EPOLLIN, &EventLoop::on_wakeup, this), "cannot watch an eventfd");
    wakeup_source_.reset(source);
    const auto never = [](sd_event_source*, std::uint64_t, void*) noexcept { return 0; };
    check(sd_event_add_time(event, &source, CLOCK_MONOTONIC, 0, 0, never, nullptr), "cannot make a timer");
    clock_.reset(source);
    check(sd_event_source_set_enabled(source, SD_EVENT_OFF), "cannot stop a timer");
}

EventLoop::~EventLoop()
{
    // Queued functions may own objects whose destructors post again.
    for (;;) {
        std::vector<Posted> left;
        {
            const MutexLock lock{mutex_};
            left.swap(posted_);
        }
        if (left.empty()) {
            break;
        }
    }
}

int EventLoop::run()
{
    assert(in_loop_thread());
    return check(sd_event_loop(raw()), "event loop");
}

bool EventLoop::run_once(milliseconds wait)
{
    assert(in_loop_thread());
    const auto usec = static_cast<std::uint64_t>(wait.count()) * 1000;
    return check(sd_event_run(raw(), usec), "event loop") > 0;
}

void EventLoop::exit(int code)
{
    assert(in_loop_thread());
    sd_event_exit(raw(), code);
}

void EventLoop::post(UniqueFunction<void()> function, HandlerName name)
{
    bool first = false;
    {
        const MutexLock lock{mutex_};
        first = posted_.empty();
        posted_.push_back({std::move(function), name});
    }
    if (first) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
    }
}

int EventLoop::on_wakeup(sd_event_source*, int fd, std::uint32_t, void* self) noexcept
{
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(fd, &count, sizeof count);
    static_cast<EventLoop*>(self)->run_posted();
    return 0;
}

void EventLoop::run_posted()
{
    std::vector<Posted> batch;
    {
        const MutexLock lock{mutex_};
        batch.swap(posted_);
    }
    for (auto& [function, name] : batch) {
        const StallWatch::Turn turn{stall_watch_, name};
        function();
        function = {}; // what it owns dies here, in order, not at the end of the batch
    }
}

void EventLoop::notify(const std::string& state)
{
    (void)sd_notify(0, state.c_str());
}

struct IoSource::State {
    State(EventLoop& on, const HandlerName& named, Callback call) : loop{on}, name{named}, callback{std::move(call)} {}

    EventLoop& loop;
    HandlerName name;
    Callback callback;
    EventSourcePtr source;
    std::weak_ptr<State> self;
};

IoSource::IoSource(EventLoop& loop, int fd, std::uint32_t events, Callback callback, HandlerName name)
    : state_{std::make_shared<State>(loop, name, std::move(callback))}
{
    assert(loop.in_loop_thread());
    state_->self = state_;
    sd_event_source* source = nullptr;
    const auto trampoline = [](sd_event_source*, int, std::uint32_t revents, void* data) noexcept {
        const auto alive = static_cast<State*>(data)->self.lock();
        const StallWatch::Turn turn{alive->loop.stall_watch(), alive->name};
        alive->callback(revents);
        return 0;
    };
    check(sd_event_add_io(loop.raw(), &source, fd, events, trampoline, state_.get()), "cannot watch a descriptor");
    state_->source.reset(source);
}

IoSource::~IoSource()
{
    state_->source.reset();
}

void IoSource::set_events(std::uint32_t events)
{
    check(sd_event_source_set_io_events(state_->source.get(), events), "cannot change a watch");
}

struct Timer::State {
    State(EventLoop& on, const HandlerName& named, UniqueFunction<void()> call)
        : loop{on}, name{named}, callback{std::move(call)}
    {}

    EventLoop& loop;
    HandlerName name;
    UniqueFunction<void()> callback;
    EventSourcePtr source;
    std::weak_ptr<State> self;
};

Timer::Timer(EventLoop& loop, UniqueFunction<void()> callback, HandlerName name)
    : state_{std::make_shared<State>(loop, name, std::move(callback))}
{
    assert(loop.in_loop_thread());
    state_->self = state_;
    sd_event_source* source = nullptr;
    const auto trampoline = [](sd_event_source*, std::uint64_t, void* data) noexcept {
        const auto alive = static_cast<State*>(data)->self.lock();
        const StallWatch::Turn turn{alive->loop.stall_watch(), alive->name};
        alive->callback();
        return 0;
    };
    // An accuracy of 1 ms: sd-event would otherwise batch timers within 250 ms.
    check(
        sd_event_add_time(loop.raw(), &source, CLOCK_MONOTONIC, 0, 1000, trampoline, state_.get()),
        "cannot make a timer"
    );
    state_->source.reset(source);
    check(sd_event_source_set_enabled(source, SD_EVENT_OFF), "cannot stop a timer");
}

Timer::~Timer()
{
    state_->source.reset();
}

void Timer::arm_at(TimePoint when)
{
    check(sd_event_source_set_time(state_->source.get(), to_usec(when)), "cannot set a timer");
    check(sd_event_source_set_enabled(state_->source.get(), SD_EVENT_ONESHOT), "cannot start a timer");
}

void Timer::cancel()
{
    check(sd_event_source_set_enabled(state_->source.get(), SD_EVENT_OFF), "cannot stop a timer");
}

struct SignalSource::State {
    State(EventLoop& on, const HandlerName& named, UniqueFunction<void()> call)
        : loop{on}, name{named}, callback{std::move(call)}
    {}

    EventLoop& loop;
    HandlerName name;
    UniqueFunction<void()> callback;
    EventSourcePtr source;
};

SignalSource::SignalSource(EventLoop& loop, int signal, UniqueFunction<void()> callback, HandlerName name)
    : state_{std::make_shared<State>(loop, name, std::move(callback))}
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    check(-pthread_sigmask(SIG_BLOCK, &set, nullptr), "cannot block a signal");
    sd_event_source* source = nullptr;
    const auto trampoline = [](sd_event_source*, const signalfd_siginfo*, void* data) noexcept {
        auto& state = *static_cast<State*>(data);
        const StallWatch::Turn turn{state.loop.stall_watch(), state.name};
        state.callback();
        return 0;
    };
    check(sd_event_add_signal(loop.raw(), &source, signal, trampoline, state_.get()), "cannot watch a signal");
    state_->source.reset(source);
}

SignalSource::~SignalSource() = default;

ChildSource::ChildSource(EventLoop& loop, int pid, UniqueFunction<void(int)> callback, HandlerName name)
    : pid_{pid}, callback_{std::make_shared<UniqueFunction<void(int)>>(std::move(callback))}
{
    pidfd_ = UniqueFd{kAdoptFd, static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    if (pidfd_) {
        try {
            source_ = std::make_unique<IoSource>(
                loop, pidfd_.get(), EPOLLIN, [this](std::uint32_t) { look(); }, name
            );
            return;
        } catch (const std::system_error&) {
            pidfd_.reset();
        }
    }
    again_ = std::make_unique<Timer>(
        loop, [this] { look(); }, name
    );
    again_->arm(kLookAgain);
}

ChildSource::~ChildSource() = default;

void ChildSource::look()
{
    int status = -1;
    if (::waitpid(pid_, &status, WNOHANG) == 0) {
        if (again_ != nullptr) {
            again_->arm(kLookAgain);
        }
        return;
    }
    const auto told = callback_; // the callback may destroy this object
    source_.reset();
    again_.reset();
    (*told)(status);
}

} // namespace sluice
