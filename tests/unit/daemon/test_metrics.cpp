// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/status_metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> names_in(const Json& group)
{
    std::vector<std::string> names;
    for (const auto& [name, value] : group.items()) {
        names.push_back(name);
    }
    return names;
}

TEST(Metrics, AreReadWhenTheDocumentIsMade)
{
    std::uint64_t value = 1;
    Metrics metrics;
    metrics.add({"a", "one", MetricKind::kCounter, "Counts", [&] { return value; }});
    metrics.add({"b", "two", MetricKind::kGauge, "Stands", [] { return std::uint64_t{7}; }});
    value = 5;
    EXPECT_EQ(metrics.to_json(), (Json{{"a", {{"one", 5}}}, {"b", {{"two", 7}}}}));
    EXPECT_EQ(Metrics{}.to_json(), Json::object());
}

/// docs/control-api.md promises that members never go away.
TEST(Metrics, TheNamesInTheStatusDocumentStay)
{
    Counters counters;
    fetcher::FetchCounters fetched;
    protocol::SocketStats library;
    protocol::FrontEndStats device;
    protocol::Space space{"/", CacheLimits{}};
    Metrics metrics;
    add_fill_metrics(metrics, counters);
    add_space_metrics(metrics, space);
    add_fetch_metrics(metrics, [&] { return fetched; });
    add_library_metrics(metrics, [&] { return library; });
    add_front_end_metrics(metrics, [&] { return device; });
    counters.bytes_fetched = 4096;
    fetched.retries = 3;
    library.connected = 2;
    device.open_objects = 4;
    const auto json = metrics.to_json();
    EXPECT_THAT(
        names_in(json["counters"]),
        ElementsAre(
            "blobs_culled",
            "bytes_culled",
            "bytes_fetched",
            "bytes_written",
            "closes",
            "deadline_misses",
            "fetch_failures",
            "fetches",
            "opens",
            "opens_rejected",
            "reads",
            "reads_already_there",
            "reads_failed",
            "tree_bytes_fetched",
            "verify_failures",
            "write_failures"
        )
    );
    EXPECT_THAT(names_in(json["space"]), ElementsAre("low", "writes_refused"));
    EXPECT_THAT(names_in(json["fetcher"]), ElementsAre("bytes_received", "redirects", "requests", "retries", "tokens"));
    EXPECT_THAT(
        names_in(json["library"]),
        ElementsAre(
            "cancelled",
            "clients",
            "clients_refused",
            "clients_seen",
            "malformed",
            "open_objects",
            "opens",
            "opens_rejected",
            "reads",
            "reads_failed",
            "stalled"
        )
    );
    EXPECT_THAT(
        names_in(json["device"]),
        ElementsAre(
            "closes",
            "malformed",
            "open_answers_failed",
            "open_objects",
            "opens",
            "opens_rejected",
            "reads",
            "reads_answered",
            "reads_forgotten",
            "replayed",
            "unknown_objects"
        )
    );
    EXPECT_EQ(json["counters"]["bytes_fetched"], 4096);
    EXPECT_EQ(json["fetcher"]["retries"], 3);
    EXPECT_EQ(json["library"]["clients"], 2);
    EXPECT_EQ(json["device"]["open_objects"], 4);
}

TEST(Metrics, EachSaysWhatItIs)
{
    const Counters counters;
    Metrics metrics;
    add_fill_metrics(metrics, counters);
    add_front_end_metrics(metrics, [] { return protocol::FrontEndStats{}; });
    for (const auto& metric : metrics.all()) {
        EXPECT_GT(metric.help.size(), 10U) << metric.name;
        EXPECT_FALSE(metric.help.ends_with(".")) << metric.name;
    }
}

} // namespace
} // namespace sluice::daemon
