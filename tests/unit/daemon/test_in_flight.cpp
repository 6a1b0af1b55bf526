// SPDX-License-Identifier: Apache-2.0
// A backing file that says of what is being written that it were there: allocated, and zeros of it in memory.
#include "daemon/blob_filler.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"

#include <algorithm>

namespace sluice::daemon {
namespace {

constexpr std::uint64_t kBlocks = 64;

TEST(InFlight, WhatIsBeingWrittenIsNotThereWhateverTheFileSays)
{
    EventLoop loop;
    BufferPool buffers{1 << 20, 256 * 1024};
    WorkerPool workers{1};
    const test::FakeBlob blob{kBlocks};
    test::FakeSource source{loop, buffers};
    source.add(blob);
    Counters counters;
    FillServices services{loop, workers, source, nullptr, counters};
    FillPolicy policy;
    policy.read.read_ahead = 0;
    policy.read.metadata_window = kBlockSize;
    policy.read.random_window = kBlockSize;
    const auto handle = std::make_shared<test::MemoryHandle>(kBlocks * kBlockSize);
    const auto answerer = std::make_shared<test::CountingAnswerer>();
    const auto tree = BlobTree::make(services, blob.info);
    ASSERT_TRUE(tree);
    BlobFiller filler{services, policy, *tree, handle};
    auto read = [&, next = 0U](ByteRange range) mutable {
        const MessageId message{next++};
        filler.read(range, protocol::PendingRead{answerer, ObjectId{1}, message}, true);
        return message;
    };
    const auto answered = [&](MessageId message) { return answerer->answers.contains(message); };
    const auto wait_for = [&](MessageId message) {
        EXPECT_TRUE(test::run_until(loop, [&] { return answered(message); }));
    };

    wait_for(read({4096, 8192}));
    source.hold();
    const auto first = read({0, 4096});
    ASSERT_TRUE(test::run_until(loop, [&] { return source.running > 0; }));
    auto zeros = AlignedBuffer::allocate(kBlockSize);
    zeros.set_size(kBlockSize);
    std::ranges::fill(zeros.bytes(), std::byte{0});
    ASSERT_TRUE(handle->write(0, zeros.bytes()));
    EXPECT_TRUE(answered(read({4096, 8192}))); // has the file looked at again
    const auto second = read({0, 4096});
    EXPECT_FALSE(answered(second));
    source.release();
    wait_for(first);
    wait_for(second);
    const auto want = blob.data({0, 4096});
    EXPECT_TRUE(std::ranges::equal(handle->content({0, 4096}), want));
}

} // namespace
} // namespace sluice::daemon
