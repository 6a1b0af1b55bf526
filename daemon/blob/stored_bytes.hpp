// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/result.hpp"
#include "base/single_flight.hpp"
#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "daemon/blob/backing_file.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace sluice::daemon {

/// How many bytes of a blob are in its backing file, for those who ask again and again: the file is asked once, on a
/// worker, and whoever writes to it tells. Of a file with very many holes only their sum is remembered, until something
/// changes. Loop thread only.
class StoredBytes {
public:
    /// `size` is the blob's, in bytes.
    StoredBytes(EventLoop& loop, WorkerPool& workers, std::shared_ptr<const BackingFile> file, std::uint64_t size);
    StoredBytes(const StoredBytes&) = delete;
    StoredBytes& operator=(const StoredBytes&) = delete;
    ~StoredBytes() = default;

    /// Asks the file about what is not known.
    [[nodiscard]] Task<Result<std::uint64_t>> get();

    /// Whole blocks that are in the file from now on.
    void written(ByteRange range);

    /// The file is asked about `range` again.
    void invalidate(ByteRange range);

private:
    [[nodiscard]] Task<Result<std::uint64_t>> ask();
    [[nodiscard]] Task<Result<void>> look_into_file();

    /// What is not known counts as missing.
    [[nodiscard]] std::uint64_t count() const;

    void limit_memory();

    EventLoop& loop_;
    WorkerPool& workers_;
    std::shared_ptr<const BackingFile> file_;
    std::uint64_t size_;
    ByteRange blob_;                   ///< to whole blocks
    RangeSet unknown_;                 ///< what the file was not asked about
    RangeSet missing_;                 ///< of the rest
    RangeSet written_meanwhile_;       ///< what a worker that asks the file may have come too early to see
    std::optional<std::uint64_t> sum_; ///< where missing_ would be too long; as long as nothing has changed
    bool is_asking_ = false;
    SingleFlight<int, Result<std::uint64_t>> asking_; // last: its job touches all of the above
};

} // namespace sluice::daemon
