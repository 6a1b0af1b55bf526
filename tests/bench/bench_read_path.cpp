// SPDX-License-Identifier: Apache-2.0
//
// The daemon's read path beside bare downloads of the same ranges, all in one run: the ratios are what counts. Two
// kinds of bare: "curl" throws the bytes away; "stored" writes them to the same disk, unproved, which is the least that
// any cache has to do. All readers are threads of this process; loopback serves as the network, and --wire and --delay
// make it one.
#include "fetcher/http_client.hpp"
#include "tests/bench/bare_curl.hpp"
#include "tests/bench/rig.hpp"
#include "tests/bench/wire.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace sluice::bench {
namespace {

constexpr std::uint64_t kKernelRead = 128U << 10;                              ///< what the kernel's readahead asks for
const unsigned kBareConnections = fetcher::HttpOptions{}.connections_per_host; ///< as many as the daemon has

struct Options {
    std::uint64_t mib = 1024;
    std::string wire;
    unsigned delay_us = 0;
    std::string only;
    std::size_t reads = 4096;
    std::vector<unsigned> readers{1, 16, 128};

    [[nodiscard]] bool wants(const std::string& name) const { return name.find(only) != std::string::npos; }
};

void print_head()
{
    fmt::print(
        "| workload        | readers | MiB/s | curl  | stored | /curl | /stored | p50 us | curl   | stored | p99 us | "
        "curl   | stored | loop us | fetched |\n"
    );
    fmt::print(
        "| --------------- | ------- | ----- | ----- | ------ | ----- | ------- | ------ | ------ | ------ | ------ | "
        "------ | ------ | ------- | ------- |\n"
    );
}

void print_row(
    const std::string& what,
    std::size_t readers,
    const Outcome& ours,
    const Outcome& curl,
    const Outcome& stored,
    const Rig& rig
)
{
    fmt::print(
        "| {:<15} | {:>7} | {:>5.0f} | {:>5.0f} | {:>6.0f} | {:>5.2f} | {:>7.2f} | {:>6.0f} | {:>6.0f} | {:>6.0f} | "
        "{:>6.0f} | {:>6.0f} | {:>6.0f} | {:>7.1f} | {:>7.2f} |{}\n",
        what,
        readers,
        ours.mib_per_second(),
        curl.mib_per_second(),
        stored.mib_per_second(),
        ours.mib_per_second() / curl.mib_per_second(),
        ours.mib_per_second() / stored.mib_per_second(),
        ours.percentile(50),
        curl.percentile(50),
        stored.percentile(50),
        ours.percentile(99),
        curl.percentile(99),
        stored.percentile(99),
        rig.loop_seconds() * 1e6 / static_cast<double>(ours.latencies.size()),
        static_cast<double>(rig.counters().bytes_fetched) / static_cast<double>(ours.bytes),
        ours.failures + curl.failures + stored.failures > 0 ? " FAILURES" : ""
    );
    std::fflush(stdout);
}

/// One row: `plan` through the daemon, `bare_plan` by curl, all cold.
void compare(
    const Server& server,
    const daemon::FillPolicy& policy,
    const std::string& what,
    std::size_t readers,
    const Plan& plan,
    const Plan& bare_plan
)
{
    const auto curl = run(bare_plan, [&] { return bare_curl(server.url()); });
    Outcome stored;
    {
        const StoreFile file{server.blob().erofs_size};
        stored = run(bare_plan, [&] { return storing_curl(server.url(), file); });
    }
    Rig rig{server, policy};
    const auto ours = rig.run(plan);
    print_row(what, readers, ours, curl, stored, rig);
}

void measure_resident(const Server& server, std::uint64_t size)
{
    Rig rig{server, daemon::FillPolicy{}};
    const auto resident = rig.resident_with_all_in_flight(random(size, 1, 4096, 1000));
    fmt::print("resident with 1,000 random reads in flight: {:.1f} MiB\n", static_cast<double>(resident) / (1 << 20));
}

void measure(const Options& options)
{
    const auto size = options.mib << 20;
    const test::TempDir dir;
    const Server server{dir.path(), size, options.delay_us};
    if (options.wants("resident")) {
        measure_resident(server, size); // first, while the heap has nothing left over from other measurements
    }
    fmt::print(
        "\ncold reads of a blob of {} MiB over {}, {} us before each answer\n\n",
        options.mib,
        options.wire.empty() ? "loopback" : options.wire,
        options.delay_us
    );
    print_head();
    const daemon::FillPolicy policy;
    for (const unsigned readers : options.readers) {
        if (options.wants("sequential 128K")) {
            const auto bare = sequential(size, kBareConnections, policy.read.max_request);
            compare(server, policy, "sequential 128K", readers, sequential(size, readers, kKernelRead), bare);
        }
    }
    for (const std::uint64_t length : {std::uint64_t{64} << 10, std::uint64_t{4} << 10}) {
        // A reader of small random ranges gets no more than it asked for, as the bare one does.
        daemon::FillPolicy exact;
        exact.read.random_window = length;
        exact.read.metadata_window = length;
        const auto name = fmt::format("random {}K", length >> 10);
        for (const unsigned readers : options.readers) {
            if (options.wants(name)) {
                const auto plan = random(size, readers, length, options.reads);
                compare(server, exact, name, readers, plan, plan);
            }
        }
    }
}

} // namespace
} // namespace sluice::bench

int main(int argc, char** argv)
{
    sluice::bench::Options options;
    CLI::App app{"Cold reads through the daemon's read path, beside bare downloads of the same ranges."};
    app.add_option("MIB", options.mib, "size of the blob in MiB")->capture_default_str();
    app.add_option(
        "--wire", options.wire, "limit the loopback of a network namespace to this rate, as tc(8) writes it: 1gbit"
    );
    app.add_option("--delay", options.delay_us, "microseconds that the server waits before each answer");
    app.add_option(
        "--only", options.only, "workloads whose name contains this: resident, sequential 128K, random 4K, ..."
    );
    app.add_option("--reads", options.reads, "how many random reads")->capture_default_str();
    app.add_option("--readers", options.readers, "numbers of readers")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        if (!options.wire.empty()) {
            sluice::bench::limit_loopback(options.wire);
        }
        sluice::bench::measure(options);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench-read-path: {}\n", error.what());
        return 1;
    }
}
