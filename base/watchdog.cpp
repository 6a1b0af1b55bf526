// SPDX-License-Identifier: Apache-2.0
#include "base/watchdog.hpp"

#include <algorithm>
#include <chrono>
#include <systemd/sd-daemon.h>
#include <utility>

namespace sluice {

Watchdog::Watchdog(EventLoop& loop, std::function<bool()> is_well)
    : loop_{loop}, is_well_{std::move(is_well)}, timer_{loop, [this] { feed(); }, "watchdog"}
{
    std::uint64_t usec = 0;
    if (::sd_watchdog_enabled(0, &usec) <= 0) {
        return;
    }
    interval_ =
        std::max(std::chrono::duration_cast<milliseconds>(std::chrono::microseconds{usec}) / 2, milliseconds{1});
    feed();
}

Watchdog::~Watchdog() = default;

void Watchdog::feed()
{
    if (is_well_()) {
        loop_.notify("WATCHDOG=1");
    }
    timer_.arm(interval_);
}

} // namespace sluice
