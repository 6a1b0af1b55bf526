// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/metrics.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::daemon {

void Metrics::add(Metric metric)
{
    assert(std::ranges::none_of(metrics_, [&](const Metric& known) {
        return known.group == metric.group && known.name == metric.name;
    }));
    metrics_.push_back(std::move(metric));
}

Json Metrics::to_json() const
{
    auto json = Json::object();
    for (const auto& metric : metrics_) {
        json[metric.group][metric.name] = metric.read();
    }
    return json;
}

} // namespace sluice::daemon
