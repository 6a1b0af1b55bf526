// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/single_flight.hpp"
#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "cache/tree_store.hpp"
#include "daemon/blob/blob_info.hpp"
#include "daemon/blob/counters.hpp"
#include "fetcher/blob_source.hpp"
#include "trust/merkle_tree.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace sluice::daemon {

/// What every blob's machinery works with; owned by the composition root, which outlives all of it.
struct FillServices {
    EventLoop& loop;
    WorkerPool& workers;
    fetcher::BlobSource& source;
    cache::TreeStore* trees; ///< keeps hash blocks on disk; null: not kept
    Counters& counters;
};

/// One blob's hash tree, loaded as it is needed: from the disk, else from the registry; each hash block proved against
/// its parent before use. Shared by all openings of the blob. Loop thread only.
class BlobTree {
public:
    /// Fails when the geometry does not fit the blob.
    [[nodiscard]] static Result<std::shared_ptr<BlobTree>> make(FillServices& services, BlobInfo blob);

    BlobTree(FillServices& services, BlobInfo blob, trust::MerkleGeometry geometry);

    [[nodiscard]] const BlobInfo& blob() const noexcept { return blob_; }

    /// Another image that holds the same blob may lie elsewhere.
    void set_repositories(std::vector<std::string> repositories) { blob_.repositories = std::move(repositories); }

    /// Until `data` (block-aligned, inside [0, erofs_size)) can be proved. Concurrent callers share each load, and each
    /// has its own deadline.
    [[nodiscard]] Task<Result<void>> prepare(ByteRange data, Deadline deadline);

    /// The digests of the blocks of `data`, for a worker. Precondition: prepare() has succeeded for it in this turn of
    /// the loop, or the result says that it has to be prepared again (the memory bound has dropped it meanwhile).
    [[nodiscard]] Result<std::vector<Digest>> expected(ByteRange data);

    /// Openings of the blob, by several front ends, hear here of what others of them have written. `who` is only a
    /// name.
    void watch(const void* who, std::function<void(ByteRange)> told) { watchers_[who] = std::move(told); }

    void unwatch(const void* who) { watchers_.erase(who); }

    void written(const void* by, ByteRange range) const;

    /// Fetches bytes of the blob into memory, unproved.
    [[nodiscard]] Task<Result<std::vector<std::byte>>> fetch_bytes(ByteRange range, Deadline deadline);

private:
    using RunKey = std::pair<unsigned, std::uint64_t>;

    Task<Result<void>> load_shared(trust::TreeRun run, Deadline deadline);
    Task<Result<void>> load(trust::TreeRun run, Deadline deadline);
    Task<bool> load_from_disk(trust::TreeRun run);

    FillServices& services_;
    BlobInfo blob_;
    trust::MerkleTree tree_;
    SingleFlight<RunKey, Result<void>> loading_;
    std::map<const void*, std::function<void(ByteRange)>> watchers_;
};

} // namespace sluice::daemon
