// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"

#include <functional>

namespace sluice {

/// Feeds the manager's watchdog (WATCHDOG_USEC, WATCHDOG_PID) from the loop, twice in each interval: a loop that stands
/// still does not, and neither does one whose owner says that it is not well. Does nothing where no manager asks for
/// it. Loop thread only.
class Watchdog {
public:
    Watchdog(EventLoop& loop, std::function<bool()> is_well);
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    ~Watchdog();

private:
    void feed();

    EventLoop& loop_;
    std::function<bool()> is_well_;
    milliseconds interval_{0};
    Timer timer_;
};

} // namespace sluice
