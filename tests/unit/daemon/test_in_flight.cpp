// SPDX-License-Identifier: Apache-2.0
// A backing file that says of what is being written that it were there: allocated, and zeros of it in memory.
#include "tests/support/fill_world.hpp"

#include <algorithm>
#include <atomic>
#include <latch>
#include <memory>

namespace sluice::daemon {
namespace {

TEST(InFlight, WhatIsBeingWrittenIsNotThereWhateverTheFileSays)
{
    test::FillWorld world{64};
    ASSERT_TRUE(world.wait_for(world.read({4096, 8192})));
    world.source.hold();
    const auto first = world.read({0, 4096});
    ASSERT_TRUE(test::run_until(world.loop, [&] { return world.source.running > 0; }));
    auto zeros = AlignedBuffer::allocate(kBlockSize);
    zeros.set_size(kBlockSize);
    std::ranges::fill(zeros.bytes(), std::byte{0});
    ASSERT_TRUE(world.handle->write(0, zeros.bytes()));
    ASSERT_TRUE(world.wait_for(world.read({4096, 8192}))); // has the file looked at again
    const auto second = world.read({0, 4096});
    EXPECT_FALSE(world.answered(second));
    world.source.release();
    EXPECT_TRUE(world.wait_for(first));
    EXPECT_TRUE(world.wait_for(second));
    const auto want = world.blob.data({0, 4096});
    EXPECT_TRUE(std::ranges::equal(world.handle->content({0, 4096}), want));
}

struct Fill {
    static Task<void> as_readahead(BlobFiller& filler, ByteRange range)
    {
        (void)co_await filler.fill(range, Urgency::kReadahead);
    }
};

/// Keeps a worker busy until it is told otherwise.
std::shared_ptr<std::latch> hold_worker(WorkerPool& workers)
{
    auto go = std::make_shared<std::latch>(1);
    workers.submit([go] { go->wait(); });
    return go;
}

TEST(InFlight, AChunkOfReadaheadIsProvedAsDemandWhenSomebodyWaitsForItByNow)
{
    test::FillWorld world{64};
    ASSERT_TRUE(world.wait_for(world.read({0, 4096})));
    world.source.hold();
    TaskScope tasks{world.loop};
    tasks.spawn(Fill::as_readahead(*world.filler, {4096, 8192}));
    ASSERT_TRUE(test::run_until(world.loop, [&] { return world.source.running > 0; }));
    ASSERT_EQ(world.source.urgencies.back(), Urgency::kReadahead);
    const auto reader = world.read({4096, 8192});

    const auto one = hold_worker(world.workers);
    const auto other = hold_worker(world.workers); // until the end: jobs follow each other on the first
    std::atomic<bool> is_first = true;
    world.workers.submit([&] { is_first = !world.handle->present().contains({4096, 8192}); }, Urgency::kReadahead);
    const auto before = world.counters.bytes_fetched;
    world.source.release();
    ASSERT_TRUE(test::run_until(world.loop, [&] { return world.counters.bytes_fetched > before; }));
    one->count_down();
    EXPECT_TRUE(world.wait_for(reader));
    std::latch is_over{1};
    world.workers.submit([&] { is_over.count_down(); }, Urgency::kReadahead);
    is_over.wait();
    EXPECT_FALSE(is_first) << "what was queued as readahead before it went first";
    other->count_down();
}

} // namespace
} // namespace sluice::daemon
