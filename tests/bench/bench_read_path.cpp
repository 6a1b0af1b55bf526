// SPDX-License-Identifier: Apache-2.0
//
// Cold reads through the daemon's whole read path, beside a bare download of the same ranges from the same server in
// the same run. What counts are the ratios: the machine's speed is in both.
//   bench-read-path [MiB of the blob]
#include "tests/bench/bare_curl.hpp"
#include "tests/bench/rig.hpp"

#include <cstdlib>
#include <fmt/format.h>

namespace sluice::bench {
namespace {

constexpr std::uint64_t kKernelRead = 128U << 10; ///< what the kernel's readahead asks for
constexpr unsigned kBareConnections = 8;          ///< of the bare parallel download; the daemon has as many

Outcome bare(const Server& server, const Plan& plan)
{
    return run(plan, [&] { return bare_curl(server.url()); });
}

void print_row(const std::string& what, std::size_t readers, const Outcome& ours, const Outcome& theirs)
{
    fmt::print(
        "| {:<18} | {:>7} | {:>9.0f} | {:>9.0f} | {:>5.2f} | {:>9.0f} | {:>9.0f} | {:>9.0f} | {:>9.0f} |{}\n",
        what,
        readers,
        ours.mib_per_second(),
        theirs.mib_per_second(),
        ours.mib_per_second() / theirs.mib_per_second(),
        ours.percentile(50),
        theirs.percentile(50),
        ours.percentile(99),
        theirs.percentile(99),
        ours.failures + theirs.failures > 0 ? " FAILURES" : ""
    );
    std::fflush(stdout);
}

void measure(std::uint64_t size)
{
    const test::TempDir dir;
    const Server server{dir.path(), size};
    const daemon::FillPolicy policy;
    {
        // First, while the heap has nothing left over from other measurements.
        Rig rig{server, policy};
        const auto resident = rig.resident_with_all_in_flight(random(size, 1, 4096, 1000));
        fmt::print(
            "resident with 1,000 random reads in flight: {:.1f} MiB\n\n", static_cast<double>(resident) / (1 << 20)
        );
    }
    fmt::print("cold reads of a blob of {} MiB, verified and written; bare: libcurl, thrown away\n\n", size >> 20);
    fmt::print("| workload           | readers | ours MiB/s | bare MiB/s | ratio | p50 us    | bare p50  | p99 us    | "
               "bare p99  |\n");
    fmt::print("| ------------------ | ------- | --------- | --------- | ----- | --------- | --------- | --------- | "
               "--------- |\n");
    for (const unsigned readers : {1U, 16U, 128U}) {
        const auto theirs = bare(server, sequential(size, kBareConnections, policy.read.max_request));
        Rig rig{server, policy};
        print_row("sequential 128K", readers, rig.run(sequential(size, readers, kKernelRead)), theirs);
    }
    for (const std::uint64_t length : {std::uint64_t{64} << 10, std::uint64_t{4} << 10}) {
        // A reader of small random ranges gets no more than it asked for, as the bare one does.
        daemon::FillPolicy exact = policy;
        exact.read.random_window = length;
        exact.read.metadata_window = length;
        for (const unsigned readers : {1U, 16U, 128U}) {
            const auto plan = random(size, readers, length, 4096);
            const auto theirs = bare(server, plan);
            Rig rig{server, exact};
            print_row(fmt::format("random {}K", length >> 10), readers, rig.run(plan), theirs);
        }
    }
}

} // namespace
} // namespace sluice::bench

int main(int argc, char** argv)
{
    const auto mib = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1024ULL;
    sluice::bench::measure(mib << 20);
}
