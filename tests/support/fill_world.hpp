// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/blob/blob_filler.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"

#include <cstdint>
#include <memory>

namespace sluice::test {

/// What fillers of one blob live on, without the network and the disk. Nothing is fetched but what is asked for.
struct FillWorld {
    explicit FillWorld(std::uint64_t blocks) : blob{blocks}, handle{std::make_shared<MemoryHandle>(blocks * kBlockSize)}
    {
        source.add(blob);
        policy.read.read_ahead = 0;
        policy.read.metadata_window = kBlockSize;
        policy.read.random_window = kBlockSize;
    }

    MessageId read(daemon::BlobFiller& by, ByteRange range, bool found_hole = true)
    {
        const MessageId message{next_message++};
        by.read(range, protocol::PendingRead{answerer, ObjectId{1}, message}, found_hole);
        return message;
    }

    [[nodiscard]] bool answered(MessageId message) const { return answerer->answers.contains(message); }

    [[nodiscard]] bool wait_for(MessageId message)
    {
        return run_until(loop, [&] { return answered(message); });
    }

    EventLoop loop;
    BufferPool buffers{1 << 20, 64 * 1024};
    WorkerPool workers{2};
    FakeBlob blob;
    FakeSource source{loop, buffers};
    daemon::Counters counters;
    daemon::FillServices services{loop, workers, source, nullptr, counters};
    daemon::FillPolicy policy;
    std::shared_ptr<MemoryHandle> handle;
    std::shared_ptr<CountingAnswerer> answerer = std::make_shared<CountingAnswerer>();
    std::uint32_t next_message = 0;
};

} // namespace sluice::test
