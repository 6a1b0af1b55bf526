// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/single_flight.hpp"
#include "base/task.hpp"
#include "daemon/blob/blob_info.hpp"
#include "daemon/blob/fill_services.hpp"
#include "trust/merkle_tree.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sluice::daemon {

/// One blob's hash tree, loaded as it is needed: from the disk, else from a registry; each hash block proved against
/// its parent before use. Bytes that do not match are the fault of the repository that sent them, and the next one is
/// asked. What is held in memory is bounded for all trees together (TreeBudget). Loop thread only.
class BlobTree {
public:
    /// Fails when the geometry does not fit the blob, or the blob is larger than EROFS can address (16 TiB).
    /// `blob` must outlive the tree; its repositories may change meanwhile.
    [[nodiscard]] static Result<std::unique_ptr<BlobTree>> make(FillServices& services, const BlobInfo& blob);

    BlobTree(FillServices& services, const BlobInfo& blob, trust::MerkleGeometry geometry);
    BlobTree(const BlobTree&) = delete;
    BlobTree& operator=(const BlobTree&) = delete;
    ~BlobTree();

    /// Until `data` (block-aligned, inside [0, erofs_size)) can be proved. Concurrent callers share each load, and each
    /// has its own deadline. Of the terms' note only `retry_after` is filled in, on failure.
    [[nodiscard]] Task<Result<void>> prepare(ByteRange data, fetcher::FetchTerms terms);

    /// The digests of the blocks of `data`, for a worker. Precondition: prepare() has succeeded for it in this turn of
    /// the loop, or the result says that it has to be prepared again (the budget has dropped it meanwhile).
    [[nodiscard]] Result<std::vector<Digest>> expected(ByteRange data);

    /// Bytes of hash blocks held.
    [[nodiscard]] std::size_t memory() const noexcept { return tree_.memory(); }

    /// For TreeBudget: drops hash blocks until memory() is within `bytes`, or as near as it gets.
    void trim(std::size_t bytes) { tree_.trim(bytes); }

private:
    using RunKey = std::pair<unsigned, std::uint64_t>;

    /// What whoever shares a load is told.
    struct Loaded {
        Result<void> outcome;
        /// Set when it was the deadline of whoever began the load that ended it: when to begin another.
        std::optional<Deadline> again;
    };

    Task<Result<void>> load_shared(trust::TreeRun run, fetcher::FetchTerms terms);
    Task<Loaded> load_until(trust::TreeRun run, Deadline deadline, std::optional<Deadline> begin);
    Task<Result<void>> load(trust::TreeRun run, fetcher::FetchTerms terms);
    Task<Result<void>> fetch(trust::TreeRun run, fetcher::FetchTerms terms);
    Task<bool> load_from_disk(trust::TreeRun run);

    FillServices& services_;
    const BlobInfo& blob_;
    Digest identity_;
    trust::MerkleTree tree_;
    SingleFlight<RunKey, Loaded> loading_;
};

} // namespace sluice::daemon
