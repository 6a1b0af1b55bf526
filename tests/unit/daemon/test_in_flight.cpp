// SPDX-License-Identifier: Apache-2.0
// A backing file that says of what is being written that it were there: allocated, and zeros of it in memory.
#include "tests/support/fill_world.hpp"

#include <algorithm>

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

} // namespace
} // namespace sluice::daemon
