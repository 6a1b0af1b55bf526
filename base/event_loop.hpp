// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/function.hpp"
#include "base/mutex.hpp"
#include "base/stall_watch.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

struct sd_event;
struct sd_event_source;

namespace sluice {

struct EventSourceDeleter {
    void operator()(sd_event_source* source) const noexcept;
};

using EventSourcePtr = std::unique_ptr<sd_event_source, EventSourceDeleter>;

/// One thread's event loop over sd-event. Everything but post() and exit_from_any_thread() may only be called from the
/// thread that created it. Throws std::system_error when the operating system refuses a descriptor. Whatever is run on
/// the loop has a name, for the log line that tells that it took long (StallWatch).
class EventLoop {
public:
    EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;
    ~EventLoop();

    /// Runs until exit(); returns its code.
    int run();

    /// Handles what is ready, waiting at most `wait` for it. False when nothing happened in that time.
    bool run_once(milliseconds wait);

    void exit(int code = 0);

    /// Runs `function` on the loop's thread, in order of posting. The one gate between threads.
    /// What is still queued when the loop is destroyed is destroyed unrun.
    void post(UniqueFunction<void()> function, HandlerName name = HandlerName{"posted"});

    /// As post(), for the loop's own thread: later, not in this stack frame.
    void defer(UniqueFunction<void()> function, HandlerName name = HandlerName{"deferred"})
    {
        post(std::move(function), name);
    }

    [[nodiscard]] bool in_loop_thread() const noexcept { return std::this_thread::get_id() == thread_; }

    /// READY=1, STATUS=…, STOPPING=1 for systemd; does nothing where no manager listens.
    void notify(const std::string& state);

    /// Tells of handlers that keep the loop for long.
    [[nodiscard]] StallWatch& stall_watch() noexcept { return stall_watch_; }

    /// Handlers that kept the loop for longer than the watch's limit.
    [[nodiscard]] std::uint64_t stalls() const noexcept { return stall_watch_.stalls(); }

    /// For the sources below.
    [[nodiscard]] sd_event* raw() const noexcept { return event_.get(); }

private:
    struct EventDeleter {
        void operator()(sd_event* event) const noexcept;
    };

    struct Posted {
        UniqueFunction<void()> function;
        HandlerName name;
    };

    void run_posted();
    static int on_wakeup(sd_event_source* source, int fd, std::uint32_t events, void* self) noexcept;

    std::thread::id thread_;
    StallWatch stall_watch_;
    std::unique_ptr<sd_event, EventDeleter> event_;
    UniqueFd wakeup_;
    Mutex mutex_;
    std::vector<Posted> posted_ SLUICE_GUARDED_BY(mutex_);
    EventSourcePtr clock_;         // all timers share its descriptor: none fails for want of one
    EventSourcePtr wakeup_source_; // last: its callback touches all of the above
};

/// Watches a descriptor; level-triggered. The callback gets the EPOLL* bits that are set. Destroying it, from inside
/// its own callback too, stops the watch. The descriptor is not owned and must outlive the source.
class IoSource {
public:
    using Callback = UniqueFunction<void(std::uint32_t)>;

    IoSource(
        EventLoop& loop, int fd, std::uint32_t events, Callback callback, HandlerName name = HandlerName{"descriptor"}
    );
    IoSource(const IoSource&) = delete;
    IoSource& operator=(const IoSource&) = delete;
    ~IoSource();

    void set_events(std::uint32_t events);

private:
    struct State;
    std::shared_ptr<State> state_;
};

/// A one-shot timer. Destroying it cancels it. The callback may arm it again, or destroy it.
class Timer {
public:
    Timer(EventLoop& loop, UniqueFunction<void()> callback, HandlerName name = HandlerName{"timer"});
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer();

    void arm(milliseconds from_now) { arm_at(SteadyClock::now() + from_now); }

    void arm_at(TimePoint when);
    void cancel();

private:
    struct State;
    std::shared_ptr<State> state_;
};

/// Delivers a signal on the loop. The signal is blocked in the calling thread: make these before any other thread.
class SignalSource {
public:
    SignalSource(
        EventLoop& loop, int signal, UniqueFunction<void()> callback, HandlerName name = HandlerName{"signal"}
    );
    SignalSource(const SignalSource&) = delete;
    SignalSource& operator=(const SignalSource&) = delete;
    ~SignalSource();

private:
    struct State;
    std::shared_ptr<State> state_;
};

/// Tells when a child process has ended, with its wait status (-1 when it could not be had). One-shot. Never fails:
/// while there is no descriptor to be had for the watch, the child is looked at now and then.
class ChildSource {
public:
    ChildSource(
        EventLoop& loop, int pid, UniqueFunction<void(int)> callback, HandlerName name = HandlerName{"end of a child"}
    );
    ChildSource(const ChildSource&) = delete;
    ChildSource& operator=(const ChildSource&) = delete;
    ~ChildSource();

private:
    void look();

    UniqueFd pidfd_;
    int pid_;
    std::shared_ptr<UniqueFunction<void(int)>> callback_;
    std::unique_ptr<IoSource> source_;
    std::unique_ptr<Timer> again_; // where there is no source
};

} // namespace sluice
