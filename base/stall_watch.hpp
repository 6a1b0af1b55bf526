// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/function.hpp"
#include "base/unique_fd.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

/// What a log line calls a handler of an event loop, and where it was registered. The text must live as long as the
/// program. Made from a literal where a handler is registered: `Timer flush_{loop, callback, "flush of touches"};`. As
/// a default argument it is written `HandlerName{"timer"}`: g++ then takes the place of the call, else that of the
/// default.
struct HandlerName {
    constexpr HandlerName( // NOLINT(google-explicit-constructor): stands where a literal is written
        const char* name,
        const char* in_file = __builtin_FILE(),
        int at_line = __builtin_LINE()
    ) noexcept
        : what{name}, file{in_file}, line{at_line}
    {}

    /// "flush of touches, daemon/image/image_store.cpp:31". The place is left out where it is the standard library's,
    /// as it is behind std::make_unique.
    [[nodiscard]] std::string text() const;

    const char* what;
    const char* file;
    int line;
};

/// What a thread has used so far.
struct ThreadTimes {
    std::chrono::nanoseconds wall{0};
    std::chrono::nanoseconds computing{0}; ///< processor time
    std::chrono::nanoseconds queueing{0};  ///< ready to run, while other threads had the processors; 0 if unknown
};

/// Looks how long each handler keeps its event loop. A turn stalls when its handler takes longer than the limit
/// without the time in which it stood ready and had no processor: so a busy machine makes no stall of a good handler,
/// and computing for long is one as much as blocking is. Where the kernel does not tell that time (CONFIG_SCHED_INFO),
/// it counts as the handler's.
///
/// Off in builds with NDEBUG, else 50 ms; SLUICE_STALL_MS in the environment overrides both (0 is off). Loop thread
/// only.
class StallWatch {
public:
    using Clock = UniqueFunction<ThreadTimes()>;

    StallWatch();

    /// None is off.
    void set_limit(std::optional<milliseconds> limit);

    /// For tests.
    void set_clock(Clock clock);

    /// Turns that stalled. Each was logged as a warning that names its handler.
    [[nodiscard]] std::uint64_t stalls() const noexcept { return stalls_; }

    /// What was logged last; empty when nothing was.
    [[nodiscard]] const std::string& last() const noexcept { return last_; }

    /// Stands around the call of a handler.
    class Turn {
    public:
        Turn(StallWatch& watch, const HandlerName& name) : watch_{watch}, name_{name}
        {
            if (watch_.limit_) {
                begun_ = watch_.clock_();
            }
        }

        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

        ~Turn()
        {
            if (begun_ && watch_.limit_) {
                watch_.ended(name_, *begun_);
            }
        }

    private:
        StallWatch& watch_;
        HandlerName name_; // a copy: the handler may destroy its source
        std::optional<ThreadTimes> begun_;
    };

private:
    void ended(const HandlerName& name, const ThreadTimes& begun) noexcept;
    [[nodiscard]] ThreadTimes measure() const noexcept;

    std::optional<milliseconds> limit_;
    UniqueFd schedstat_; // of the loop's thread
    Clock clock_;
    std::uint64_t stalls_ = 0;
    std::string last_;
};

} // namespace sluice
