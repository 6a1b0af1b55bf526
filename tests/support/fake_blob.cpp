// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_blob.hpp"

#include "trust/hasher.hpp"
#include "trust/merkle_builder.hpp"

#include <algorithm>

namespace sluice::test {

FakeBlob::FakeBlob(std::uint64_t blocks) : bytes(blocks * kBlockSize)
{
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::byte>((7 * i + (i >> 12) + blocks) & 0xff);
    }
    trust::MerkleBuilder builder;
    builder.update(bytes);
    const auto tree = builder.finish();
    info.erofs_size = bytes.size();
    info.tree_offset = bytes.size();
    info.root = tree.root;
    bytes.insert(bytes.end(), tree.bytes.begin(), tree.bytes.end());
    info.blob_size = bytes.size();
    info.digest = trust::sha256(bytes);
    info.repositories = {"registry.test/app"};
}

Task<Result<void>>
FakeSource::fetch(fetcher::BlobLocation blob, ByteRange range, fetcher::ChunkSink& sink, fetcher::FetchTerms terms)
{
    struct Running {
        explicit Running(unsigned& count) : running{count} { ++running; }

        Running(const Running&) = delete;
        Running& operator=(const Running&) = delete;

        ~Running() { --running; }

        unsigned& running;
    };

    fetched.push_back(range);
    urgencies.push_back(terms.urgency);
    const Running counted{running};
    if (held_) {
        const OneShot<bool> released{loop_};
        waiting_.push_back(released.setter());
        (void)co_await released;
    }
    if (fault) {
        if (auto error = fault(blob, range)) {
            if (terms.note != nullptr) {
                terms.note->retry_after = retry_after;
            }
            co_return fail(std::move(*error));
        }
    }
    const auto& bytes = blobs_.at(blob.digest)->bytes;
    for (auto at = range.begin(); at < range.end();) {
        auto buffer = pool_.try_take();
        if (!buffer) {
            co_await sleep_for(loop_, milliseconds{1});
            continue;
        }
        const auto boundary = (at / pool_.buffer_size() + 1) * pool_.buffer_size();
        const auto end = std::min(boundary, range.end());
        buffer->append(std::span{bytes}.subspan(at, end - at));
        if (tamper) {
            tamper(at, buffer->bytes());
        }
        sink.on_chunk(at, std::move(*buffer));
        at = end;
    }
    co_return Result<void>{};
}

void FakeSource::release()
{
    held_ = false;
    for (const auto& waiter : std::exchange(waiting_, {})) {
        waiter.set(true);
    }
}

Result<void> MemoryHandle::write(std::uint64_t offset, std::span<const std::byte> data)
{
    const MutexLock lock{mutex_};
    if (fault_) {
        return fail(*fault_);
    }
    std::ranges::copy(data, content_.begin() + static_cast<std::ptrdiff_t>(offset));
    present_.add({offset, offset + data.size()});
    return {};
}

Result<std::vector<ByteRange>> MemoryHandle::missing(ByteRange range) const
{
    const MutexLock lock{mutex_};
    auto found = present_.outside(range.align_out(kBlockSize));
    ++looks_;
    while (paused_) {
        went_on_.wait(mutex_);
    }
    return found;
}

void MemoryHandle::pause_looks()
{
    const MutexLock lock{mutex_};
    paused_ = true;
}

void MemoryHandle::go_on()
{
    {
        const MutexLock lock{mutex_};
        paused_ = false;
    }
    went_on_.notify_all();
}

void MemoryHandle::fail_writes(std::optional<Error> why)
{
    const MutexLock lock{mutex_};
    fault_ = std::move(why);
}

void MemoryHandle::punch_hole(ByteRange range)
{
    const MutexLock lock{mutex_};
    present_.remove(range);
}

RangeSet MemoryHandle::present() const
{
    const MutexLock lock{mutex_};
    return present_;
}

std::vector<std::byte> MemoryHandle::content(ByteRange range) const
{
    const MutexLock lock{mutex_};
    const auto* from = content_.data() + range.begin();
    return {from, from + range.size()};
}

} // namespace sluice::test
