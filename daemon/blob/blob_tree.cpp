// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/blob_tree.hpp"

#include "base/log.hpp"
#include "daemon/blob/tree_budget.hpp"

#include <fmt/format.h>
#include <iterator>
#include <map>

namespace sluice::daemon {

namespace {

/// 64 leaf blocks are 256 KiB of tree, and prove 32 MiB of data: one more round trip every 32 MiB of a sequential read.
constexpr std::uint64_t kLeafRun = 64;

/// The levels of a tree whose parents have to be loaded first; 16 would be a tree over more than 2^100 bytes.
constexpr int kMostLevels = 16;

/// EROFS counts blocks in 32 bits.
constexpr std::uint64_t kMostBytes = (std::uint64_t{1} << 32) * kBlockSize;

class CollectSink final : public fetcher::ChunkSink {
public:
    explicit CollectSink(std::size_t size) { bytes_.reserve(size); }

    void on_chunk(std::uint64_t offset, AlignedBuffer chunk) override
    {
        if (sources_.empty() || sources_.rbegin()->second != source_) {
            sources_.emplace(offset, source_);
        }
        const auto data = chunk.bytes();
        bytes_.insert(bytes_.end(), data.begin(), data.end());
    }

    void on_source(const std::string& repository) override { source_ = repository; }

    /// Who has sent the byte at `offset` of the blob, which must be inside of what came.
    [[nodiscard]] const std::string& source_of(std::uint64_t offset) const
    {
        return std::prev(sources_.upper_bound(offset))->second;
    }

    [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

private:
    std::vector<std::byte> bytes_;
    std::string source_;
    std::map<std::uint64_t, std::string> sources_; ///< by the first byte of each
};

} // namespace

Result<std::unique_ptr<BlobTree>> BlobTree::make(FillServices& services, const BlobInfo& blob)
{
    auto geometry = trust::MerkleGeometry::for_size(blob.erofs_size);
    if (!geometry) {
        return fail(geometry.error(), fmt::format("blob {}", blob.digest.to_string()));
    }
    if (blob.erofs_size > kMostBytes) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("blob {}: {} bytes are more than EROFS can address", blob.digest.to_string(), blob.erofs_size)
        );
    }
    if (blob.tree_offset > blob.blob_size || geometry->tree_size() > blob.blob_size - blob.tree_offset) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "blob {}: its hash tree ({} bytes at offset {}) would end beyond the blob ({} bytes)",
                blob.digest.to_string(),
                geometry->tree_size(),
                blob.tree_offset,
                blob.blob_size
            )
        );
    }
    return std::make_unique<BlobTree>(services, blob, *geometry);
}

BlobTree::BlobTree(FillServices& services, const BlobInfo& blob, trust::MerkleGeometry geometry)
    : services_{services}
    , blob_{blob}
    , identity_{identity_of(blob)}
    , tree_{geometry, blob.root}
    , loading_{services.loop}
{}

BlobTree::~BlobTree()
{
    services_.tree_budget.forget(*this);
}

Task<Result<void>> BlobTree::prepare(ByteRange data, fetcher::FetchTerms terms)
{
    for (int level = 0; level < kMostLevels; ++level) {
        const auto runs = tree_.missing_for(data, kLeafRun);
        if (runs.empty()) {
            services_.tree_budget.used(*this);
            co_return Result<void>{};
        }
        // One after the other: the runs of one level lie next to each other, and there is rarely more than one.
        for (const auto& run : runs) {
            auto loaded = co_await load_shared(run, terms);
            if (!loaded) {
                co_return fail(loaded.error(), fmt::format("hash tree of blob {}", blob_.digest.to_string()));
            }
        }
    }
    co_return fail(ErrorKind::kInternal, fmt::format("hash tree of blob {} is too deep", blob_.digest.to_string()));
}

Task<Result<void>> BlobTree::load_shared(trust::TreeRun run, fetcher::FetchTerms terms)
{
    std::optional<Deadline> begin;
    for (;;) {
        bool own = false;
        auto start = [this, run, deadline = terms.deadline, begin, &own] {
            own = true; // called, if at all, before the run below suspends
            return load_until(run, deadline, begin);
        };
        const RunKey key{run.level, run.first};
        auto loaded = co_await loading_.run(key, std::move(start));
        // Only somebody else's deadline is a reason to begin anew: all other failures would come again, to each of us.
        if (loaded.outcome || own || !loaded.again || loaded.again->when() >= terms.deadline.when()) {
            if (loaded.again && terms.note != nullptr) {
                terms.note->retry_after = loaded.again->remaining();
            }
            co_return std::move(loaded.outcome);
        }
        begin = loaded.again;
    }
}

Task<BlobTree::Loaded> BlobTree::load_until(trust::TreeRun run, Deadline deadline, std::optional<Deadline> begin)
{
    if (begin && !begin->passed()) { // here, so that whoever comes meanwhile waits for this load and begins none
        co_await sleep_for(services_.loop, begin->remaining() + milliseconds{1});
    }
    fetcher::FetchNote note;
    fetcher::FetchTerms terms{deadline};
    terms.note = &note;
    auto outcome = co_await load(run, terms);
    const auto again = outcome ? std::nullopt : next_chance(outcome.error(), terms);
    Loaded loaded{std::move(outcome), again};
    co_return loaded;
}

Result<std::vector<Digest>> BlobTree::expected(ByteRange data)
{
    if (!tree_.missing_for(data, 1).empty()) {
        return fail(ErrorKind::kTransient, "hash blocks are not in memory");
    }
    return tree_.expected_of_data(data);
}

Task<bool> BlobTree::load_from_disk(trust::TreeRun run)
{
    if (services_.trees == nullptr) {
        co_return false;
    }
    auto job = [store = services_.trees, identity = identity_, run, expected = tree_.expected_of(run)] {
        auto bytes = store->read(identity, run.bytes);
        if (bytes && trust::first_mismatch(*bytes, expected)) {
            bytes.reset(); // damaged on disk: as good as absent
        }
        return bytes;
    };
    const auto bytes = co_await services_.workers.run(services_.loop, std::move(job));
    if (!bytes) {
        co_return false;
    }
    tree_.insert(run, *bytes);
    services_.tree_budget.used(*this);
    co_return true;
}

Task<Result<void>> BlobTree::load(trust::TreeRun run, fetcher::FetchTerms terms)
{
    const bool kept = co_await load_from_disk(run);
    if (kept) {
        co_return Result<void>{};
    }
    // As often as the mirrors still have somebody to ask; who sends wrong bytes is asked last from then on.
    auto rounds = 2 * blob_.repositories.size();
    for (;;) {
        auto loaded = co_await fetch(run, terms);
        if (loaded || loaded.error().kind() != ErrorKind::kCorrupt || terms.deadline.passed() || --rounds == 0) {
            co_return loaded;
        }
    }
}

Task<Result<void>> BlobTree::fetch(trust::TreeRun run, fetcher::FetchTerms terms)
{
    const ByteRange range{blob_.tree_offset + run.bytes.begin(), blob_.tree_offset + run.bytes.end()};
    CollectSink sink{range.size()};
    auto repositories = blob_.repositories;
    auto fetched =
        co_await services_.mirrors.fetch(std::move(repositories), blob_.digest, blob_.blob_size, range, sink, terms);
    if (!fetched) {
        co_return fetched;
    }
    const auto bytes = std::make_shared<const std::vector<std::byte>>(sink.take());
    services_.counters.tree_bytes_fetched += bytes->size();
    auto job = [bytes, expected = tree_.expected_of(run)] { return trust::first_mismatch(*bytes, expected); };
    const auto bad = co_await services_.workers.run(services_.loop, std::move(job));
    if (bad) {
        ++services_.counters.verify_failures;
        const auto& repository = sink.source_of(range.begin() + *bad * kBlockSize);
        services_.mirrors.blame(repository, blob_.digest, range);
        auto why = fmt::format(
            "from {}: hash block {} of level {} does not match its parent", repository, run.first + *bad, run.level
        );
        log::warning("blob {}: {}", blob_.digest.to_string(), why);
        co_return fail(ErrorKind::kCorrupt, std::move(why));
    }
    tree_.insert(run, *bytes);
    services_.tree_budget.used(*this);
    if (services_.trees != nullptr) {
        auto keep = [store = services_.trees, identity = identity_, run, bytes] {
            // A cache of a cache: a failure only means another fetch some day.
            (void)store->write(identity, run.bytes.begin(), *bytes);
        };
        services_.workers.submit(std::move(keep), Urgency::kBackground);
    }
    co_return Result<void>{};
}

} // namespace sluice::daemon
