// SPDX-License-Identifier: Apache-2.0
//
// The planner against whole readers: a kernel that asks for what it misses, and a network that is quick or slow.
#include "cache/fetch_planner.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

namespace sluice::cache {
namespace {

constexpr std::uint64_t kKib = 1024;
constexpr std::uint64_t kMib = 1024 * kKib;
constexpr std::uint64_t kGib = 1024 * kMib;
constexpr std::uint64_t kAtOnce = std::numeric_limits<std::uint64_t>::max();

/// A daemon with everything but bytes: fetches run one after the other at `bytes_per_tick`.
class Daemon {
public:
    Daemon(const ReadPolicy& policy, std::uint64_t size, std::uint64_t bytes_per_tick)
        : planner_{policy, size}, bytes_per_tick_{bytes_per_tick}
    {}

    [[nodiscard]] bool has(ByteRange range) const { return present_.contains(range); }

    /// What the kernel sends when a reader hits a hole.
    void read(ByteRange wanted)
    {
        const auto plan = planner_.plan(wanted);
        bool stalled = false;
        for (const auto& range : plan.demand) {
            stalled |= start(range) && range.overlaps(wanted);
        }
        for (const auto& range : plan.readahead) {
            (void)start(range);
        }
        stalls_ += stalled ? 1 : 0;
        if (bytes_per_tick_ == kAtOnce) {
            tick();
        }
    }

    void tick()
    {
        for (auto budget = bytes_per_tick_; budget > 0 && !queue_.empty();) {
            const ByteRange front = queue_.front();
            const ByteRange part{front.begin(), front.begin() + std::min(budget, front.size())};
            queue_.pop_front();
            if (part.end() < front.end()) {
                queue_.push_front({part.end(), front.end()});
            }
            present_.add(part);
            budget -= part.size();
        }
    }

    /// READs for which nothing had been asked from the network before.
    [[nodiscard]] int stalls() const { return stalls_; }

    [[nodiscard]] std::uint64_t fetched() const { return fetched_; }

private:
    bool start(ByteRange range)
    {
        const auto missing = known_.outside(range);
        for (const auto& part : missing) {
            known_.add(part);
            queue_.push_back(part);
            fetched_ += part.size();
        }
        return !missing.empty();
    }

    ReadPlanner planner_;
    std::uint64_t bytes_per_tick_;
    RangeSet present_;
    RangeSet known_; // there or in flight
    std::deque<ByteRange> queue_;
    int stalls_ = 0;
    std::uint64_t fetched_ = 0;
};

/// A reader with the kernel's own readahead: 128 KiB at a time, the next one when it has this one.
class Reader {
public:
    Reader(std::uint64_t begin, std::uint64_t end) : position_{begin}, end_{end} {}

    [[nodiscard]] bool done() const { return position_ >= end_; }

    /// Reads on as far as the data goes, and asks for what is missing.
    void run(Daemon& daemon, int most)
    {
        for (; most > 0 && !done(); --most) {
            const ByteRange wanted{position_, std::min(position_ + 128 * kKib, end_)};
            if (!daemon.has(wanted)) {
                if (!asked_) {
                    asked_ = true;
                    daemon.read(wanted);
                }
                if (!daemon.has(wanted)) {
                    return;
                }
            }
            asked_ = false;
            position_ = wanted.end();
        }
    }

private:
    std::uint64_t position_;
    std::uint64_t end_;
    bool asked_ = false;
};

int finish(Daemon& daemon, std::vector<Reader> readers, int speed = 1'000'000)
{
    int ticks = 0;
    for (bool busy = true; busy; ++ticks) {
        busy = false;
        for (auto& reader : readers) {
            reader.run(daemon, speed);
            busy |= !reader.done();
        }
        daemon.tick();
    }
    return ticks;
}

TEST(ReadSimulation, OneReaderOnAQuickNetworkStallsOncePerWindow)
{
    Daemon daemon{{}, kGib, kAtOnce};
    finish(daemon, {Reader{0, 64 * kMib}});
    // 1 MiB of metadata, then windows of 0.5, 1, 2, 4, 8, 16, 16, 16 MiB.
    EXPECT_LE(daemon.stalls(), 9);
    EXPECT_LE(daemon.fetched(), (64 + 16) * kMib);
}

TEST(ReadSimulation, OneReaderOnASlowNetworkStallsOnlyToBegin)
{
    Daemon daemon{{}, kGib, 64 * kKib};
    const int ticks = finish(daemon, {Reader{512 * kMib, 576 * kMib}});
    EXPECT_LE(daemon.stalls(), 2);
    EXPECT_LE(ticks, static_cast<int>((64 + 1) * kMib / (64 * kKib))) << "the network is never idle";
}

TEST(ReadSimulation, EightReadersAreToldApart)
{
    for (const std::uint64_t rate : {kAtOnce, 256 * kKib}) {
        Daemon daemon{{}, 16 * kGib, rate};
        std::vector<Reader> readers;
        for (std::uint64_t r = 0; r < 8; ++r) {
            readers.emplace_back((r + 1) * kGib, (r + 1) * kGib + 32 * kMib);
        }
        finish(daemon, std::move(readers), 1);
        EXPECT_LE(daemon.stalls(), 8 * 10) << rate;
        EXPECT_LE(daemon.fetched(), 8 * (32 + 8) * kMib) << rate;
    }
}

TEST(ReadSimulation, ReadersThatFollowEachOtherShareOneFetch)
{
    Daemon daemon{{}, kGib, kMib};
    std::vector<Reader> readers(8, Reader{256 * kMib, 320 * kMib});
    finish(daemon, std::move(readers), 4);
    EXPECT_LE(daemon.stalls(), 13);
    EXPECT_LE(daemon.fetched(), (64 + 16) * kMib);
}

TEST(ReadSimulation, AHundredReadersKeepTheirStreams)
{
    Daemon daemon{{}, 256 * kGib, kAtOnce};
    std::vector<Reader> readers;
    for (std::uint64_t r = 0; r < 100; ++r) {
        readers.emplace_back((r + 1) * kGib, (r + 1) * kGib + 8 * kMib);
    }
    finish(daemon, std::move(readers), 1);
    EXPECT_LE(daemon.stalls(), 100 * 20) << "of 64 READs each";
}

TEST(ReadSimulation, RandomReadsFetchNoMoreThanTheirWindows)
{
    for (const std::uint64_t size : {4 * kKib, 64 * kKib}) {
        for (const std::uint64_t span : {kGib, 64 * kGib}) {
            Daemon daemon{{}, span, kAtOnce};
            std::mt19937_64 random{size + span};
            std::uint64_t reads = 0;
            for (int i = 0; i < 4000; ++i) {
                const std::uint64_t begin = random() % (span / size) * size;
                const ByteRange wanted{begin, begin + size};
                if (!daemon.has(wanted)) {
                    ++reads;
                    daemon.read(wanted);
                }
            }
            // A window a READ, and a little for READs that only looked as if they were in order.
            EXPECT_LE(daemon.fetched(), reads * 64 * kKib * 5 / 4) << size << " in " << span;
        }
    }
}

TEST(ReadSimulation, AnObjectReadToItsEndIsFetchedOnce)
{
    constexpr std::uint64_t kSize = 40 * kMib + 8192;
    Daemon daemon{{}, kSize, 512 * kKib};
    finish(daemon, {Reader{0, kSize}, Reader{20 * kMib, kSize}});
    EXPECT_EQ(daemon.fetched(), kSize);
}

} // namespace
} // namespace sluice::cache
