// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/stored_bytes.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice::daemon {

namespace {

/// 64 KiB of memory a blob.
constexpr std::size_t kMostHoles = 4096;

/// What comes into doubt while a worker asks the file is asked for again, but not for ever.
constexpr unsigned kMostRounds = 3;

Result<std::vector<ByteRange>> holes_in(const BackingFile& file, const std::vector<ByteRange>& ranges)
{
    std::vector<ByteRange> all;
    for (const auto& range : ranges) {
        const auto holes = file.missing(range);
        if (!holes) {
            return fail(holes.error());
        }
        all.insert(all.end(), holes->begin(), holes->end());
    }
    return all;
}

} // namespace

StoredBytes::StoredBytes(
    EventLoop& loop, WorkerPool& workers, std::shared_ptr<const BackingFile> file, std::uint64_t size
)
    : loop_{loop}
    , workers_{workers}
    , file_{std::move(file)}
    , size_{size}
    , blob_{ByteRange{0, size}.align_out(kBlockSize)}
    , asking_{loop}
{
    unknown_.add(blob_);
}

Task<Result<std::uint64_t>> StoredBytes::get()
{
    if (sum_) {
        co_return *sum_;
    }
    if (unknown_.empty() && !is_asking_) {
        co_return count();
    }
    auto start = [this] { return ask(); };
    auto stored = co_await asking_.run(0, std::move(start));
    co_return stored;
}

Task<Result<std::uint64_t>> StoredBytes::ask()
{
    for (unsigned round = 0; round < kMostRounds && !unknown_.empty(); ++round) {
        auto look = look_into_file();
        const auto looked = co_await std::move(look);
        if (!looked) {
            co_return fail(looked.error());
        }
    }
    const auto stored = count();
    const bool is_all_known = unknown_.empty(); // else somebody doubts some of it again already
    limit_memory();
    if (is_all_known && !unknown_.empty()) {
        sum_ = stored;
    }
    co_return stored;
}

Task<Result<void>> StoredBytes::look_into_file()
{
    const auto asked = std::exchange(unknown_, {});
    is_asking_ = true;
    auto job = [file = file_, ranges = asked.ranges()] { return holes_in(*file, ranges); };
    const auto holes = co_await workers_.run(loop_, std::move(job), Urgency::kBackground);
    is_asking_ = false;
    const auto written = std::exchange(written_meanwhile_, {});
    if (!holes) {
        std::for_each(asked.ranges().begin(), asked.ranges().end(), [this](ByteRange range) { unknown_.add(range); });
        co_return fail(holes.error());
    }
    for (const auto& range : asked.ranges()) {
        missing_.remove(range);
    }
    for (const auto& hole : *holes) {
        missing_.add(hole);
    }
    for (const auto& range : written.ranges()) {
        missing_.remove(range);
    }
    co_return Result<void>{};
}

std::uint64_t StoredBytes::count() const
{
    if (unknown_.empty()) {
        return size_ - std::min(size_, missing_.size()); // the last block counts as whole
    }
    auto lacks = missing_;
    std::for_each(unknown_.ranges().begin(), unknown_.ranges().end(), [&lacks](ByteRange range) { lacks.add(range); });
    return size_ - std::min(size_, lacks.size());
}

void StoredBytes::limit_memory()
{
    if (missing_.ranges().size() > kMostHoles) {
        missing_ = {};
        unknown_ = {};
        unknown_.add(blob_);
    }
}

void StoredBytes::written(ByteRange range)
{
    sum_.reset();
    missing_.remove(range);
    limit_memory();
    if (is_asking_) {
        written_meanwhile_.add(range);
    }
}

void StoredBytes::invalidate(ByteRange range)
{
    sum_.reset();
    unknown_.add(range.align_out(kBlockSize).intersect(blob_));
}

} // namespace sluice::daemon
