// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

#include <string>
#include <utility>

namespace sluice::fetcher {

namespace detail {

template <typename T>
Task<void> run_into(Task<Result<T>> inner, typename OneShot<Result<T>>::Setter setter)
{
    auto outcome = co_await inner;
    setter.set(std::move(outcome));
}

} // namespace detail

/// `inner`'s outcome; when `deadline` comes first, `inner` is cancelled, wherever it stands, and
/// the outcome is kTimeout with `what` in its text.
template <typename T>
Task<Result<T>> with_deadline(EventLoop& loop, Task<Result<T>> inner, Deadline deadline, std::string what)
{
    const OneShot<Result<T>> done{loop};
    auto setter = done.setter();
    Timer timer{loop, [setter, text = std::move(what)] {
                    setter.set(fail(ErrorKind::kTimeout, text + ": not done within the deadline"));
                }};
    timer.arm_at(deadline.when());
    TaskScope scope{loop};
    scope.spawn(detail::run_into<T>(std::move(inner), setter));
    auto outcome = co_await done;
    co_return outcome;
}

} // namespace sluice::fetcher
