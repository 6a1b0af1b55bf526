// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/exposition.hpp"

#include "sluice_config.h"

#include <fmt/format.h>
#include <iterator>
#include <string_view>

namespace sluice::daemon {

namespace {

constexpr std::string_view kMilliseconds = "_ms";
constexpr double kMillisecondsPerSecond = 1000;

class Page {
public:
    void family(std::string_view name, std::string_view type, std::string_view help)
    {
        add("# HELP {} {}.\n# TYPE {} {}\n", name, help, name, type);
    }

    /// `labels`: in braces, or nothing.
    template <typename Number>
    void sample(std::string_view name, std::string_view labels, Number value)
    {
        add("{}{} {}\n", name, labels, value);
    }

    [[nodiscard]] std::string take() { return std::move(text_); }

private:
    template <typename... Args>
    void add(fmt::format_string<Args...> format, Args&&... args)
    {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    }

    std::string text_;
};

void expose_outcomes(Page& page, const Counters& counters)
{
    constexpr std::string_view kName = "sluice_reads_answered_total";
    page.family(kName, "counter", "Reads that were answered, by front end and by how they ended");
    for (const auto& [front_end, stats] : counters.reads_of) {
        page.sample(kName, fmt::format(R"({{front_end="{}",outcome="ok"}})", front_end), stats.served());
        for (const auto& [kind, count] : stats.failed()) {
            page.sample(kName, fmt::format(R"({{front_end="{}",outcome="{}"}})", front_end, to_string(kind)), count);
        }
    }
}

void expose_times(Page& page, const Counters& counters)
{
    constexpr std::string_view kName = "sluice_read_duration_seconds";
    page.family(kName, "histogram", "How long reads of missing data waited, by front end");
    for (const auto& [front_end, stats] : counters.reads_of) {
        const auto bucket = fmt::format("{}_bucket", kName);
        const auto counts = stats.up_to_each_limit();
        for (std::size_t i = 0; i < ReadStats::kLimits.size(); ++i) {
            const auto limit = ReadStats::kLimits[i].count();
            page.sample(bucket, fmt::format(R"({{front_end="{}",le="{}"}})", front_end, limit), counts[i]);
        }
        page.sample(bucket, fmt::format(R"({{front_end="{}",le="+Inf"}})", front_end), counts.back());
        const auto of_front_end = fmt::format(R"({{front_end="{}"}})", front_end);
        page.sample(fmt::format("{}_sum", kName), of_front_end, stats.total().count());
        page.sample(fmt::format("{}_count", kName), of_front_end, counts.back());
    }
}

} // namespace

std::string exposed_name(const Metric& metric)
{
    constexpr std::string_view kUnit = "bytes_";
    auto name = metric.name;
    if (const auto at = name.find(kUnit); at != std::string::npos) {
        name = name.erase(at, kUnit.size()) + "_bytes";
    }
    if (name.ends_with(kMilliseconds)) {
        name.replace(name.size() - kMilliseconds.size(), kMilliseconds.size(), "_seconds");
    }
    const auto group = metric.group == "counters" ? std::string{} : metric.group + "_";
    return fmt::format("sluice_{}{}{}", group, name, metric.kind == MetricKind::kCounter ? "_total" : "");
}

std::string expose(const Exposed& exposed)
{
    Page page;
    page.family("sluice_build_info", "gauge", "Always 1; the label says which version of sluiced runs");
    page.sample("sluice_build_info", fmt::format(R"({{version="{}"}})", SLUICE_VERSION), 1);
    page.family("sluice_images", "gauge", "Images that are registered");
    page.sample("sluice_images", "", exposed.images);
    page.family("sluice_takeovers", "gauge", "Daemons before this one that have handed on what is mounted");
    page.sample("sluice_takeovers", "", exposed.takeovers);
    for (const auto& metric : exposed.metrics.all()) {
        const auto name = exposed_name(metric);
        page.family(name, metric.kind == MetricKind::kCounter ? "counter" : "gauge", metric.help);
        if (metric.name.ends_with(kMilliseconds)) {
            page.sample(name, "", static_cast<double>(metric.read()) / kMillisecondsPerSecond);
        } else {
            page.sample(name, "", metric.read());
        }
    }
    expose_outcomes(page, exposed.counters);
    expose_times(page, exposed.counters);
    return page.take();
}

} // namespace sluice::daemon
