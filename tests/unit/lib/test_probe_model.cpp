// SPDX-License-Identifier: Apache-2.0
//
// The same procedure written down a second time, step by step as the kernel's specification numbers
// them and in arithmetic that cannot overflow, against the library on random files.
#include "lib/probe.hpp"
#include "tests/unit/lib/hole_map.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace sluice::lib::test {
namespace {

__extension__ using Wide = __int128;

struct Outcome {
    sluice_source source = SLUICE_SOURCE_UNKNOWN;
    sluice_why why = SLUICE_WHY_AFTER_EOF;
    Wide len = 0;
    unsigned long flags = 0;
};

Wide up(Wide value, Wide grain)
{
    return (value + grain - 1) / grain * grain;
}

Wide down(Wide value, Wide grain)
{
    return value / grain * grain;
}

Outcome model(HoleMap& map, Wide bsize, const ProbeRequest& in)
{
    constexpr Wide kLast = std::numeric_limits<std::int64_t>::max();
    const Wide start = in.start;
    Outcome out{.len = Wide{in.len}, .flags = in.flags};
    if (start < 0 || (in.len == 0 && start < in.i_size)) {
        out.source = SLUICE_INVALID_READ;
        out.why = SLUICE_WHY_BAD_ARGUMENT;
        return out;
    }
    if (start >= in.i_size) { // 1
        out.source = SLUICE_FILL_WITH_ZEROES;
        out.why = SLUICE_WHY_AFTER_EOF;
        return out;
    }
    if (in.no_data_to_read) { // 2
        out.flags |= 0x01;
        if ((out.flags & 0x20) == 0) {
            out.source = SLUICE_DOWNLOAD_FROM_SERVER;
            out.why = SLUICE_WHY_NO_DATA;
            return out;
        }
    }
    if (start + out.len > kLast) {
        out.len = kLast - start;
    }
    while (true) {
        const Wide d = map.seek(Seek::kData, in.start); // 4
        bool miss = true;
        if (d == -ENXIO) {
            out.why = SLUICE_WHY_SEEK_NXIO;
        } else if (d >= start + out.len) { // 6
            out.why = SLUICE_WHY_FOUND_HOLE;
        } else if (d > start) { // 7
            const Wide trimmed = up(d, bsize) - start;
            out.len = trimmed > out.len ? out.len : trimmed;
            out.why = SLUICE_WHY_FOUND_PART;
        } else {
            miss = false;
        }
        if (!miss) {
            const Wide h = map.seek(Seek::kHole, in.start); // 8 (this map does not fail)
            Wide n = out.len;
            if (h < start + out.len) { // 9
                n = (start + out.len >= in.i_size ? up(h, bsize) : down(h, bsize)) - start;
            }
            if (n <= 0) {
                out.len = 0;
                out.source = SLUICE_INVALID_READ;
                out.why = SLUICE_WHY_PART_OF_BLOCK;
                return out;
            }
            out.len = n > out.len ? out.len : n;
            out.source = SLUICE_READ_FROM_CACHE; // 10
            out.why = SLUICE_WHY_HAVE_DATA;
            return out;
        }
        out.flags |= 0x01;
        if ((out.flags & 0x20) == 0) {
            out.source = SLUICE_DOWNLOAD_FROM_SERVER;
            return out;
        }
        if (in.request(in.ctx, static_cast<std::uint64_t>(start), static_cast<std::uint64_t>(out.len)) != 0) {
            out.source = SLUICE_INVALID_READ;
            return out;
        }
        out.flags &= ~0x20UL;
    }
}

class RandomCase {
public:
    explicit RandomCase(std::uint32_t seed) : random_{seed} {}

    std::int64_t below(std::int64_t limit)
    {
        return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(limit));
    }

    bool once_in(std::int64_t n) { return below(n) == 0; }

    HoleMap map()
    {
        constexpr std::int64_t kUnits = 128;
        HoleMap map{1 + below(kUnits * HoleMap::kUnit)};
        const bool whole_blocks = !once_in(3); // mostly as the daemon writes, sometimes torn
        for (auto runs = below(6); runs > 0; --runs) {
            auto begin = below(kUnits) * HoleMap::kUnit;
            auto end = begin + below(kUnits / 2) * HoleMap::kUnit;
            if (whole_blocks) {
                begin = begin / 4096 * 4096;
                end = end / 4096 * 4096;
            }
            map.fill(begin, end);
        }
        return map;
    }

    ProbeRequest request(const HoleMap& map)
    {
        const std::int64_t span = map.size() + 3 * 4096;
        ProbeRequest probe{
            .start = once_in(4) ? below(span) : below(span) / 4096 * 4096,
            .len = static_cast<std::uint64_t>(once_in(3) ? below(span) : (1 + below(20)) * 4096),
            .i_size = once_in(2) ? std::numeric_limits<std::int64_t>::max() : below(span + 1),
            .flags = static_cast<unsigned long>(below(64)),
            .no_data_to_read = once_in(5),
        };
        if (once_in(50)) {
            probe.start = -probe.start;
        }
        if (once_in(50)) {
            probe.len = std::numeric_limits<std::uint64_t>::max() - static_cast<std::uint64_t>(below(8192));
        }
        return probe;
    }

private:
    std::mt19937_64 random_;
};

TEST(ProbeModel, AgreesOnRandomFiles)
{
    constexpr Filler::How kHows[] = {
        Filler::How::kAll,
        Filler::How::kNothing,
        Filler::How::kFirstBlock,
        Filler::How::kTooMuch,
        Filler::How::kRefuse};
    int reads = 0;
    int requests = 0;
    for (std::uint32_t seed = 0; seed < 40'000; ++seed) {
        RandomCase random{seed};
        const auto map = random.map();
        const auto how = kHows[random.below(5)];
        const std::uint32_t block_size = 512U << static_cast<unsigned>(random.below(5));
        auto ours = random.request(map);
        auto theirs = ours;

        auto our_map = map;
        Filler our_daemon{our_map, how};
        ours.request = Filler::call;
        ours.ctx = &our_daemon;
        const auto source = prepare_ondemand_read(our_map.probed(block_size), ours);

        auto their_map = map;
        Filler their_daemon{their_map, how};
        theirs.request = Filler::call;
        theirs.ctx = &their_daemon;
        const auto expected = model(their_map, block_size, theirs);

        ASSERT_EQ(source, expected.source) << "seed " << seed;
        ASSERT_EQ(ours.why, expected.why) << "seed " << seed;
        ASSERT_TRUE(Wide{ours.len} == expected.len) << "seed " << seed << ": " << ours.len;
        ASSERT_EQ(ours.flags, expected.flags) << "seed " << seed;
        ASSERT_EQ(our_daemon.asked, their_daemon.asked) << "seed " << seed;
        reads += source == SLUICE_READ_FROM_CACHE ? 1 : 0;
        requests += static_cast<int>(our_daemon.asked.size());
    }
    EXPECT_GT(reads, 1000); // the files must have been worth the while
    EXPECT_GT(requests, 1000);
}

TEST(ProbeModel, NeverCallsAHoleData)
{
    // What no probe may ever say, whatever the procedure: that a block inside of the file is there
    // when it is not.
    for (std::uint32_t seed = 0; seed < 20'000; ++seed) {
        RandomCase random{seed ^ 0x5eed0000U};
        auto map = random.map();
        auto probe = random.request(map);
        probe.i_size = std::numeric_limits<std::int64_t>::max(); // as EROFS: no last block to round up to
        probe.len = std::min<std::uint64_t>(probe.len, 1U << 20U);
        const auto asked = probe.len;
        const auto source = prepare_ondemand_read(map.probed(), probe);
        ASSERT_LE(probe.len, asked) << "seed " << seed;
        if (source != SLUICE_READ_FROM_CACHE) {
            continue;
        }
        for (std::uint64_t at = 0; at < probe.len; at += 512) {
            ASSERT_TRUE(map.is_data(probe.start + static_cast<std::int64_t>(at))) << "seed " << seed;
        }
    }
}

} // namespace
} // namespace sluice::lib::test
