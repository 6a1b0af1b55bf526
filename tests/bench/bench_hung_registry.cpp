// SPDX-License-Identifier: Apache-2.0
//
// The registry of one image hangs while many wait for it: what that does to cold reads of another image, beside the
// same reads undisturbed, in one run. Both kinds take turns, so that a machine that gets slower meanwhile tells against
// both.
#include "tests/bench/rig.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>

namespace sluice::bench {
namespace {

constexpr std::uint64_t kLength = 64U << 10;

struct Options {
    std::uint64_t mib = 256;
    unsigned rounds = 6;
    unsigned readers = 4;
    std::size_t reads = 2048;
    std::size_t hung = 200;
    unsigned delay_us = 500;
};

/// No read of the one that hangs is answered before all has been measured.
daemon::FillPolicy patient()
{
    daemon::FillPolicy policy;
    policy.read_deadline = std::chrono::hours{1};
    policy.read.random_window = kLength;
    policy.read.metadata_window = kLength;
    return policy;
}

void add(Outcome& all, const Outcome& one)
{
    all.seconds += one.seconds;
    all.bytes += one.bytes;
    all.failures += one.failures;
    all.latencies.insert(all.latencies.end(), one.latencies.begin(), one.latencies.end());
    std::ranges::sort(all.latencies);
}

Outcome measure_one(const Options& options, const Server& server, bool disturbed)
{
    const auto plan = random(options.mib << 20, options.readers, kLength, options.reads);
    if (!disturbed) {
        Rig rig{server, patient()};
        return rig.run(plan);
    }
    const auto size = (options.mib << 20) / 2; // else it would be the same blob
    const test::TempDir dir;
    const Server hung{dir.path(), size, 0};
    Rig rig{server, patient(), {hung.host()}};
    rig.read_from_one_that_hangs(hung, random(size, 1, kLength, options.hung));
    return rig.run(plan);
}

void print_row(const char* what, const Outcome& outcome)
{
    fmt::print(
        "| {:<12} | {:>6.0f} | {:>6.0f} | {:>6.0f} |{}\n",
        what,
        outcome.mib_per_second(),
        outcome.percentile(50),
        outcome.percentile(99),
        outcome.failures > 0 ? " FAILURES" : ""
    );
}

void measure(const Options& options)
{
    const test::TempDir dir;
    const Server server{dir.path(), options.mib << 20, options.delay_us};
    Outcome alone;
    Outcome beside;
    for (unsigned round = 0; round < options.rounds; ++round) {
        const bool first = round % 2 != 0;
        add(first ? beside : alone, measure_one(options, server, first));
        add(first ? alone : beside, measure_one(options, server, !first));
    }
    fmt::print(
        "{} rounds of {} cold reads of 64K by {} readers; {} reads wait for the registry that hangs\n\n",
        options.rounds,
        options.reads,
        options.readers,
        options.hung
    );
    fmt::print("| registry     | MiB/s  | p50 us | p99 us |\n| ------------ | ------ | ------ | ------ |\n");
    print_row("undisturbed", alone);
    print_row("another hangs", beside);
    fmt::print(
        "\nratio: p50 {:.3f}, p99 {:.3f} (goal: 1.05 at most)\n",
        beside.percentile(50) / alone.percentile(50),
        beside.percentile(99) / alone.percentile(99)
    );
}

} // namespace
} // namespace sluice::bench

int main(int argc, char** argv)
{
    sluice::bench::Options options;
    CLI::App app{"Cold reads of one image while the registry of another one hangs."};
    app.add_option("MIB", options.mib, "size of the blob in MiB")->capture_default_str();
    app.add_option("--rounds", options.rounds, "how often each is measured")->capture_default_str();
    app.add_option("--readers", options.readers, "how many read at once")->capture_default_str();
    app.add_option("--reads", options.reads, "how many reads in a round")->capture_default_str();
    app.add_option("--hung", options.hung, "how many reads wait for the one that hangs")->capture_default_str();
    app.add_option("--delay", options.delay_us, "microseconds that the server waits before each answer");
    CLI11_PARSE(app, argc, argv);
    try {
        sluice::bench::measure(options);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench-hung-registry: {}\n", error.what());
        return 1;
    }
}
