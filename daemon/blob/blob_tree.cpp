// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/blob_tree.hpp"

#include <fmt/format.h>

namespace sluice::daemon {

namespace {

/// 64 leaf blocks are 256 KiB of tree, and prove 32 MiB of data: one more round trip every 32 MiB of a sequential read.
constexpr std::uint64_t kLeafRun = 64;

/// Hash blocks kept in memory for one blob; the rest comes back from the disk.
constexpr std::size_t kTreeMemory = std::size_t{16} << 20;

/// The levels of a tree whose parents have to be loaded first; 16 would be a tree over more than 2^100 bytes.
constexpr int kMostLevels = 16;

class CollectSink final : public fetcher::ChunkSink {
public:
    explicit CollectSink(std::size_t size) { bytes_.reserve(size); }

    void on_chunk(std::uint64_t, AlignedBuffer chunk) override
    {
        const auto data = chunk.bytes();
        bytes_.insert(bytes_.end(), data.begin(), data.end());
    }

    [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

private:
    std::vector<std::byte> bytes_;
};

} // namespace

Result<std::shared_ptr<BlobTree>> BlobTree::make(FillServices& services, BlobInfo blob)
{
    auto geometry = trust::MerkleGeometry::for_size(blob.erofs_size);
    if (!geometry) {
        return fail(geometry.error(), fmt::format("blob {}", blob.digest.to_string()));
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
    return std::make_shared<BlobTree>(services, std::move(blob), *geometry);
}

BlobTree::BlobTree(FillServices& services, BlobInfo blob, trust::MerkleGeometry geometry)
    : services_{services}, blob_{std::move(blob)}, tree_{geometry, blob_.root}, loading_{services.loop}
{}

Task<Result<void>> BlobTree::prepare(ByteRange data, Deadline deadline)
{
    for (int level = 0; level < kMostLevels; ++level) {
        const auto runs = tree_.missing_for(data, kLeafRun);
        if (runs.empty()) {
            co_return Result<void>{};
        }
        // One after the other: the runs of one level lie next to each other, and there is rarely more than one.
        for (const auto& run : runs) {
            auto loaded = co_await load_shared(run, deadline);
            if (!loaded) {
                co_return fail(loaded.error(), fmt::format("hash tree of blob {}", blob_.digest.to_string()));
            }
        }
    }
    co_return fail(ErrorKind::kInternal, fmt::format("hash tree of blob {} is too deep", blob_.digest.to_string()));
}

Task<Result<void>> BlobTree::load_shared(trust::TreeRun run, Deadline deadline)
{
    for (;;) {
        bool own = false;
        auto start = [this, run, deadline, &own] {
            own = true; // called, if at all, before the run below suspends
            return load(run, deadline);
        };
        const RunKey key{run.level, run.first};
        auto loaded = co_await loading_.run(key, std::move(start));
        // The deadline that has passed may be that of whoever began the load.
        if (loaded || own || loaded.error().kind() != ErrorKind::kTimeout || deadline.passed()) {
            co_return loaded;
        }
    }
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
    auto job = [store = services_.trees, digest = blob_.digest, run, expected = tree_.expected_of(run)] {
        auto bytes = store->read(digest, run.bytes);
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
    co_return true;
}

void BlobTree::written(const void* by, ByteRange range) const
{
    for (const auto& [who, tell] : watchers_) {
        if (who != by) {
            tell(range);
        }
    }
}

Task<Result<std::vector<std::byte>>> BlobTree::fetch_bytes(ByteRange range, Deadline deadline)
{
    CollectSink sink{range.size()};
    Result<void> fetched = fail(ErrorKind::kNotFound, "no repository is known to hold it");
    const auto repositories = blob_.repositories; // set_repositories() may be called while we wait
    for (const auto& repository : repositories) {
        const fetcher::BlobLocation location{repository, blob_.digest, blob_.blob_size};
        fetched = co_await services_.source.fetch(location, range, sink, deadline);
        if (fetched) {
            co_return sink.take();
        }
        (void)sink.take();
    }
    co_return fail(fetched.error());
}

Task<Result<void>> BlobTree::load(trust::TreeRun run, Deadline deadline)
{
    const bool kept = co_await load_from_disk(run);
    if (kept) {
        co_return Result<void>{};
    }
    const ByteRange range{blob_.tree_offset + run.bytes.begin(), blob_.tree_offset + run.bytes.end()};
    auto bytes = co_await fetch_bytes(range, deadline);
    if (!bytes) {
        co_return fail(bytes.error());
    }
    services_.counters.tree_bytes_fetched += bytes->size();
    if (const auto bad = trust::first_mismatch(*bytes, tree_.expected_of(run))) {
        ++services_.counters.verify_failures;
        co_return fail(
            ErrorKind::kCorrupt,
            fmt::format("hash block {} of level {} does not match its parent", run.first + *bad, run.level)
        );
    }
    tree_.insert(run, *bytes);
    tree_.trim(kTreeMemory);
    if (services_.trees != nullptr) {
        services_.workers.submit([store = services_.trees, digest = blob_.digest, run, kept_bytes = std::move(*bytes)] {
            // A cache of a cache: a failure only means another fetch some day.
            (void)store->write(digest, run.bytes.begin(), kept_bytes);
        });
    }
    co_return Result<void>{};
}

} // namespace sluice::daemon
