// SPDX-License-Identifier: Apache-2.0
#include "daemon/front_end/front_ends.hpp"

#include <utility>

namespace sluice::daemon {

Result<void> FrontEnds::start(Served served)
{
    if (auto started = served.front_end->start(*served.objects); !started) {
        return started;
    }
    served_.push_back(std::move(served));
    return {};
}

void FrontEnds::stop()
{
    if (std::exchange(ended_, true)) {
        return;
    }
    for (const auto& served : served_) {
        served.front_end->stop();
    }
}

void FrontEnds::leave()
{
    if (std::exchange(ended_, true)) {
        return;
    }
    for (const auto& served : served_) {
        served.front_end->leave();
    }
}

std::size_t FrontEnds::objects_open() const
{
    std::size_t total = 0;
    for (const auto& served : served_) {
        total += served.objects->objects_open();
    }
    return total;
}

} // namespace sluice::daemon
