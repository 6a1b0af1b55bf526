// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace sluice::bench {

/// What each reader reads, one after the other.
using Plan = std::vector<std::vector<ByteRange>>;

/// Each of `readers` reads its own equal part of [0, size) from its begin to its end, `step` bytes at a time.
[[nodiscard]] Plan sequential(std::uint64_t size, unsigned readers, std::uint64_t step);

/// `count` ranges of `length` bytes, none twice, at random places of [0, size), dealt out to `readers`. The same each
/// time.
[[nodiscard]] Plan random(std::uint64_t size, unsigned readers, std::uint64_t length, std::size_t count);

struct Outcome {
    double seconds = 0;
    std::uint64_t bytes = 0;
    std::vector<double> latencies; ///< microseconds, sorted
    unsigned failures = 0;

    [[nodiscard]] double mib_per_second() const;
    [[nodiscard]] double percentile(double p) const;
};

/// Runs the plan, one thread a reader; `make` is called once on each thread and yields what reads a range there (true:
/// good).
[[nodiscard]] Outcome run(const Plan& plan, const std::function<std::function<bool(ByteRange)>()>& make);

} // namespace sluice::bench
