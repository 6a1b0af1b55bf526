// SPDX-License-Identifier: Apache-2.0
#include "base/stall_watch.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

namespace sluice {

namespace {

using std::chrono::nanoseconds;

#ifdef NDEBUG
constexpr std::optional<milliseconds> kUsualLimit;
#else
constexpr std::optional<milliseconds> kUsualLimit = milliseconds{50};
#endif

std::optional<milliseconds> limit_of_environment()
{
    const char* const value = std::getenv("SLUICE_STALL_MS"); // NOLINT(concurrency-mt-unsafe): nobody sets it
    if (value == nullptr) {
        return kUsualLimit;
    }
    const std::string_view text{value};
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
    if (error != std::errc{} || end != text.end()) {
        return kUsualLimit;
    }
    return number == 0 ? std::nullopt : std::optional{milliseconds{number}};
}

nanoseconds read_clock(clockid_t clock) noexcept
{
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::chrono::seconds{now.tv_sec} + nanoseconds{now.tv_nsec};
}

/// The second number of /proc/PID/task/TID/schedstat.
nanoseconds read_queueing(int schedstat) noexcept
{
    std::array<char, 96> buffer{};
    const auto got = ::pread(schedstat, buffer.data(), buffer.size(), 0);
    const std::string_view text{buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
    const auto first = text.find(' ');
    std::int64_t number = 0;
    if (first != std::string_view::npos) {
        (void)std::from_chars(text.begin() + first + 1, text.end(), number);
    }
    return nanoseconds{number};
}

double in_ms(nanoseconds span) noexcept
{
    return std::chrono::duration<double, std::milli>{span}.count();
}

} // namespace

std::string HandlerName::text() const
{
    std::string_view place{file};
    while (place.starts_with("../")) { // relative to the build folder
        place.remove_prefix(3);
    }
    if (place.starts_with("/usr/")) {
        return what;
    }
    return fmt::format("{}, {}:{}", what, place, line);
}

StallWatch::StallWatch() : clock_{[this] { return measure(); }}
{
    set_limit(limit_of_environment());
}

void StallWatch::set_limit(std::optional<milliseconds> limit)
{
    limit_ = limit;
    if (limit_ && !schedstat_) {
        // May fail: then nothing is known of queueing.
        schedstat_ = UniqueFd{kAdoptFd, ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)};
    }
}

void StallWatch::set_clock(Clock clock)
{
    clock_ = std::move(clock);
}

ThreadTimes StallWatch::measure() const noexcept
{
    ThreadTimes now;
    now.wall = read_clock(CLOCK_MONOTONIC);
    now.computing = read_clock(CLOCK_THREAD_CPUTIME_ID);
    if (schedstat_) {
        now.queueing = read_queueing(schedstat_.get());
    }
    return now;
}

void StallWatch::ended(const HandlerName& name, const ThreadTimes& begun) noexcept
{
    const auto now = clock_();
    const auto wall = now.wall - begun.wall;
    const auto queueing = now.queueing - begun.queueing;
    if (wall - queueing <= *limit_) {
        return;
    }
    ++stalls_;
    const auto computing = now.computing - begun.computing;
    const auto blocked = std::max(wall - queueing - computing, nanoseconds{0});
    last_ = fmt::format(
        "the event loop stood still for {:.0f} ms in a handler ({}): {:.0f} ms computing, {:.0f} ms blocked, {:.0f} ms "
        "without a processor",
        in_ms(wall),
        name.text(),
        in_ms(computing),
        in_ms(blocked),
        in_ms(queueing)
    );
    log::write(log::Level::kWarning, last_);
}

} // namespace sluice
