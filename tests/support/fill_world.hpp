// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/blob/blob_filler.hpp"
#include "daemon/blob/tree_budget.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/only.hpp"

#include <cstdint>
#include <map>
#include <memory>

namespace sluice::test {

/// What the filler of one blob lives on, without the network and the disk. Nothing is fetched but what is asked for.
struct FillWorld {
    explicit FillWorld(std::uint64_t blocks) : blob{blocks}, handle{std::make_shared<MemoryHandle>(blocks * kBlockSize)}
    {
        source.add(blob);
        policy.read.read_ahead = 0;
        policy.read.metadata_window = kBlockSize;
        policy.read.random_window = kBlockSize;
        open();
    }

    /// Anew, with what the members say by now.
    void open()
    {
        filler.reset();
        tree = daemon::BlobTree::make(services, blob.info).value();
        file = std::make_shared<daemon::BackingFile>(nullptr);
        file->attach(handle);
        presence = std::make_unique<daemon::Presence>(loop, workers, file, blob.info.erofs_size);
        daemon::BlobFiller::Parts parts{services, policy, blob.info, *tree, *presence, file};
        filler = std::make_unique<daemon::BlobFiller>(std::move(parts));
    }

    MessageId
    read(ByteRange range, bool found_hole = true, const void* reader = nullptr, TimePoint arrival = SteadyClock::now())
    {
        const MessageId message{next_message++};
        auto done = [this, message](Result<void> outcome) {
            answers.emplace(message, std::move(outcome));
            ++times_answered[message];
        };
        filler->read(reader, range, found_hole, std::move(done), arrival);
        return message;
    }

    [[nodiscard]] bool answered(MessageId message) const { return answers.contains(message); }

    [[nodiscard]] bool wait_for(MessageId message)
    {
        return run_until(loop, [&] { return answered(message); });
    }

    std::map<MessageId, Result<void>> answers;
    std::map<MessageId, unsigned> times_answered;
    EventLoop loop;
    BufferPool buffers{1 << 20, 64 * 1024};
    WorkerPool workers{2};
    FakeBlob blob;
    FakeSource source{loop, buffers};
    daemon::Counters counters;
    daemon::TreeBudget budget{16U << 20};
    fetcher::MirrorSet mirrors{loop, test::only(source)};
    daemon::FillServices services{loop, workers, mirrors, nullptr, counters, budget};
    daemon::FillPolicy policy;
    std::shared_ptr<MemoryHandle> handle;
    std::shared_ptr<daemon::BackingFile> file;
    std::unique_ptr<daemon::BlobTree> tree;
    std::unique_ptr<daemon::Presence> presence;
    std::unique_ptr<daemon::BlobFiller> filler;
    std::uint32_t next_message = 0;
};

} // namespace sluice::test
