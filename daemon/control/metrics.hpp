// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice::daemon {

enum class MetricKind : std::uint8_t {
    kCounter, ///< since the start; never goes back
    kGauge,   ///< at this moment
};

/// One number that the daemon tells of itself. Names are stable: programs read them.
struct Metric {
    std::string group; ///< the status document's member; snake case
    std::string name;  ///< the member in there; the unit stands in it ("bytes_fetched") where it is not a count
    MetricKind kind;
    std::string help; ///< one sentence, without full stop
    std::function<std::uint64_t()> read;
};

/// All numbers that the daemon tells of itself, in one place, so that no document of them is written by hand. What the
/// readers refer to must outlive this object. Loop thread only.
class Metrics {
public:
    /// A group and name that is there already is a bug.
    void add(Metric metric);

    /// In the order in which they were added.
    [[nodiscard]] const std::vector<Metric>& all() const noexcept { return metrics_; }

    /// {"group": {"name": value, …}, …}
    [[nodiscard]] Json to_json() const;

private:
    std::vector<Metric> metrics_;
};

/// Adds the members of one struct of numbers: `read` yields it, by value or by reference.
template <typename Read>
class MetricGroup {
public:
    using Stats = std::decay_t<std::invoke_result_t<const Read&>>;

    MetricGroup(Metrics& metrics, std::string group, Read read)
        : metrics_{metrics}, group_{std::move(group)}, read_{std::move(read)}
    {}

    template <typename Field>
    MetricGroup& counter(std::string name, Field Stats::*field, std::string help)
    {
        return add(std::move(name), MetricKind::kCounter, field, std::move(help));
    }

    template <typename Field>
    MetricGroup& gauge(std::string name, Field Stats::*field, std::string help)
    {
        return add(std::move(name), MetricKind::kGauge, field, std::move(help));
    }

private:
    template <typename Field>
    MetricGroup& add(std::string name, MetricKind kind, Field Stats::*field, std::string help)
    {
        metrics_.add({group_, std::move(name), kind, std::move(help), [read = read_, field] {
                          const Stats& stats = read();
                          return static_cast<std::uint64_t>(stats.*field);
                      }});
        return *this;
    }

    Metrics& metrics_;
    std::string group_;
    Read read_;
};

} // namespace sluice::daemon
