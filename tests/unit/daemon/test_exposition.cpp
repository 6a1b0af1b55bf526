// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/exposition.hpp"
#include "daemon/control/status_metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <sstream>

namespace sluice::daemon {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST(ReadStats, EachReadIsInTheClassOfItsTimeAndInAllAbove)
{
    ReadStats stats;
    stats.note(std::chrono::microseconds{500}, {});
    stats.note(milliseconds{2}, {});
    stats.note(std::chrono::seconds{31}, fail(ErrorKind::kTimeout, "no answer"));
    const auto sums = stats.up_to_each_limit();
    EXPECT_EQ(sums[0], 1U) << "a time that is the limit is inside";
    EXPECT_EQ(sums[1], 1U);
    EXPECT_EQ(sums[2], 2U);
    EXPECT_EQ(sums[ReadStats::kLimits.size() - 1], 2U);
    EXPECT_EQ(sums.back(), 3U);
    EXPECT_DOUBLE_EQ(stats.total().count(), 31.0025);
    EXPECT_EQ(stats.served(), 2U);
    EXPECT_EQ(stats.failed(), (std::map<ErrorKind, std::uint64_t>{{ErrorKind::kTimeout, 1}}));
}

TEST(Exposition, NamesHaveTheUnitAtTheirEnd)
{
    const auto name = [](const char* group, const char* member, MetricKind kind) {
        return exposed_name({group, member, kind, "", nullptr});
    };
    EXPECT_EQ(name("counters", "opens", MetricKind::kCounter), "sluice_opens_total");
    EXPECT_EQ(name("counters", "tree_bytes_fetched", MetricKind::kCounter), "sluice_tree_fetched_bytes_total");
    EXPECT_EQ(name("in_flight", "bytes", MetricKind::kGauge), "sluice_in_flight_bytes");
    EXPECT_EQ(name("in_flight", "oldest_read_ms", MetricKind::kGauge), "sluice_in_flight_oldest_read_seconds");
    EXPECT_EQ(name("device", "reads", MetricKind::kCounter), "sluice_device_reads_total");
}

class ExpositionPage : public ::testing::Test {
protected:
    ExpositionPage()
    {
        add_fill_metrics(metrics, counters);
        add_space_metrics(metrics, space);
        add_fetch_metrics(metrics, [] { return fetcher::FetchCounters{}; });
        add_library_metrics(metrics, [] { return protocol::SocketStats{}; });
        add_front_end_metrics(metrics, [] { return protocol::FrontEndStats{}; });
        counters.reads_of["fuse"].note(milliseconds{3}, {});
        counters.reads_of["fuse"].note(milliseconds{3}, fail(ErrorKind::kNoSpace, "full"));
    }

    Counters counters;
    protocol::Space space{"/", CacheLimits{}};
    Metrics metrics;
};

TEST_F(ExpositionPage, TellsNumbersTimesAndOutcomes)
{
    counters.bytes_fetched = 4096;
    metrics.add({"in_flight", "oldest_read_ms", MetricKind::kGauge, "Age", [] { return std::uint64_t{1500}; }});
    const auto page = expose({metrics, counters, 3, 2});
    for (const auto* line :
         {"# TYPE sluice_fetched_bytes_total counter\nsluice_fetched_bytes_total 4096\n",
          "\nsluice_images 3\n",
          "\nsluice_takeovers 2\n",
          "\nsluice_in_flight_oldest_read_seconds 1.5\n",
          "\nsluice_reads_answered_total{front_end=\"fuse\",outcome=\"ok\"} 1\n",
          "\nsluice_reads_answered_total{front_end=\"fuse\",outcome=\"no-space\"} 1\n",
          "\nsluice_read_duration_seconds_bucket{front_end=\"fuse\",le=\"0.0025\"} 0\n",
          "\nsluice_read_duration_seconds_bucket{front_end=\"fuse\",le=\"0.005\"} 2\n",
          "\nsluice_read_duration_seconds_bucket{front_end=\"fuse\",le=\"+Inf\"} 2\n",
          "\nsluice_read_duration_seconds_sum{front_end=\"fuse\"} 0.006\n",
          "\nsluice_read_duration_seconds_count{front_end=\"fuse\"} 2\n"}) {
        EXPECT_THAT(page, HasSubstr(line));
    }
}

/// What `promtool check metrics` asks for, as far as it can be told from the text.
TEST_F(ExpositionPage, FollowsTheConventions)
{
    const std::regex sample{R"(([a-z][a-z0-9_]*)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+)"};
    const std::regex help{"# HELP ([a-z][a-z0-9_]*) [A-Z0-9][^\n]*[^.]\\."};
    const std::regex type{"# TYPE ([a-z][a-z0-9_]*) (counter|gauge|histogram)"};
    std::istringstream lines{expose({metrics, counters, 0, 0})};
    std::set<std::string> families;
    std::string family;
    std::string kind;
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (std::regex_match(line, match, help)) {
            family = match[1];
            EXPECT_TRUE(families.insert(family).second) << line << ": twice";
        } else if (std::regex_match(line, match, type)) {
            EXPECT_EQ(match[1], family) << line;
            kind = match[2];
            EXPECT_EQ(family.ends_with("_total"), kind == "counter") << line;
        } else if (std::regex_match(line, match, sample)) {
            EXPECT_EQ(match[1].str().rfind(family, 0), 0U) << line << ": under " << family;
            EXPECT_TRUE(kind == "histogram" || match[1] == family) << line;
        } else {
            ADD_FAILURE() << "not of the format: " << line;
        }
    }
    EXPECT_GT(families.size(), 40U);
}

} // namespace
} // namespace sluice::daemon
