// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/workload.hpp"

#include "base/mutex.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <sys/prctl.h>
#include <thread>

namespace sluice::bench {

Plan sequential(std::uint64_t size, unsigned readers, std::uint64_t step)
{
    Plan plan(readers);
    const auto part = size / readers / step * step;
    for (unsigned i = 0; i < readers; ++i) {
        for (auto at = i * part; at < (i + 1) * part; at += step) {
            plan[i].push_back({at, at + step});
        }
    }
    return plan;
}

Plan random(std::uint64_t size, unsigned readers, std::uint64_t length, std::size_t count)
{
    std::vector<std::uint64_t> slots(size / length);
    std::iota(slots.begin(), slots.end(), 0U);
    std::mt19937_64 engine{20260101}; // NOLINT(cert-msc51-cpp): the same order each time is what is wanted
    std::ranges::shuffle(slots, engine);
    Plan plan(readers);
    for (std::size_t i = 0; i < std::min(count, slots.size()); ++i) {
        plan[i % readers].push_back({slots[i] * length, (slots[i] + 1) * length});
    }
    return plan;
}

double Outcome::mib_per_second() const
{
    return seconds > 0 ? static_cast<double>(bytes) / seconds / (1 << 20) : 0;
}

double Outcome::percentile(double p) const
{
    if (latencies.empty()) {
        return 0;
    }
    const auto last = static_cast<double>(latencies.size() - 1);
    return latencies[static_cast<std::size_t>(last * p / 100)];
}

Outcome run(const Plan& plan, const std::function<std::function<bool(ByteRange)>()>& make)
{
    using Clock = std::chrono::steady_clock;
    Outcome outcome;
    Mutex mutex;
    const auto begin = Clock::now();
    {
        std::vector<std::jthread> threads;
        for (const auto& ranges : plan) {
            threads.emplace_back([&, mine = &ranges] {
                ::prctl(PR_SET_NAME, "reader"); // for profiles
                const auto read = make();
                std::vector<double> times;
                std::uint64_t bytes = 0;
                unsigned failures = 0;
                for (const auto& range : *mine) {
                    const auto start = Clock::now();
                    failures += read(range) ? 0U : 1U;
                    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
                    bytes += range.size();
                }
                const MutexLock lock{mutex};
                outcome.bytes += bytes;
                outcome.failures += failures;
                outcome.latencies.insert(outcome.latencies.end(), times.begin(), times.end());
            });
        }
    }
    outcome.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::ranges::sort(outcome.latencies);
    return outcome;
}

} // namespace sluice::bench
