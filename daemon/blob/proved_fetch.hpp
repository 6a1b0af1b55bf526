// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/task.hpp"
#include "daemon/blob/backing_file.hpp"
#include "daemon/blob/blob_info.hpp"
#include "daemon/blob/blob_tree.hpp"
#include "daemon/blob/fill_services.hpp"

#include <cstdint>
#include <functional>
#include <memory>

namespace sluice::daemon {

/// Brings bytes of one blob from a repository into its backing file, through the proof. Loop thread only.
class ProvedFetch {
public:
    /// Told of what is in the file; `generation` is the file's before it was written to.
    using Landed = std::function<void(ByteRange, std::uint64_t generation)>;

    /// How urgent a chunk of a fetch that began as `begun` is by now: somebody may have come to wait for it.
    using UrgencyOf = std::function<Urgency(ByteRange, Urgency begun)>;

    /// `blob` and `tree` outlive this object and its tasks.
    ProvedFetch(
        FillServices& services,
        const BlobInfo& blob,
        BlobTree& tree,
        std::shared_ptr<BackingFile> file,
        Landed landed,
        UrgencyOf urgency
    );

    /// `range`: whole blocks, inside the blob. kCorrupt when blocks did not match, which were left out; the mirrors
    /// have been told whose they were. On any failure a part may have landed.
    [[nodiscard]] Task<Result<void>> fetch(ByteRange range, fetcher::FetchTerms terms);

private:
    FillServices& services_;
    const BlobInfo& blob_;
    BlobTree& tree_;
    std::shared_ptr<BackingFile> file_;
    Landed landed_;
    UrgencyOf urgency_;
};

} // namespace sluice::daemon
