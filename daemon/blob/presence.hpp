// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/result.hpp"
#include "base/single_flight.hpp"
#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "daemon/blob/backing_file.hpp"
#include "daemon/blob/stored_bytes.hpp"

#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace sluice::daemon {

/// Which blocks of a blob are in its backing file, remembered: asking the file waits for every write to it that is
/// under way, which only workers may. The file is asked once for each window, when somebody first looks there. The
/// file's holes stay the truth: whoever has reason to doubt says invalidate(). A bit a block: 128 bytes for each window
/// of 4 MiB that was looked at. Loop thread only.
class Presence {
public:
    /// `size` is the blob's, in bytes; its last block counts as whole. `file` is only used on workers.
    Presence(EventLoop& loop, WorkerPool& workers, std::shared_ptr<const BackingFile> file, std::uint64_t size);
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;
    ~Presence();

    /// What of `range` (any alignment; beyond the end there is nothing) is missing: sorted, whole blocks. Nothing when
    /// some of it was not looked at yet: look() first.
    [[nodiscard]] std::optional<std::vector<ByteRange>> missing(ByteRange range) const;

    /// Has workers ask the file about all of `range` that was not looked at yet. After a success missing() knows, until
    /// somebody invalidates. Concurrent callers share.
    [[nodiscard]] Task<Result<void>> look(ByteRange range);

    /// Whole blocks that are in the file from now on.
    void written(ByteRange range);

    /// Nothing is remembered of the windows that `range` touches; what workers are finding out about them does not
    /// count.
    void invalidate(ByteRange range);

    /// How many bytes of the blob are in the file. Asks the file about what nobody has told since it was last asked.
    [[nodiscard]] Task<Result<std::uint64_t>> stored_bytes() { return stored_.get(); }

    /// Windows that are remembered.
    [[nodiscard]] std::size_t windows() const noexcept { return windows_.size(); }

private:
    struct Window;

    [[nodiscard]] Task<Result<void>> look_at(std::uint64_t window);

    EventLoop& loop_;
    WorkerPool& workers_;
    std::shared_ptr<const BackingFile> file_;
    ByteRange blob_; // to whole blocks
    std::map<std::uint64_t, std::unique_ptr<Window>> windows_;
    StoredBytes stored_;
    SingleFlight<std::uint64_t, Result<void>> looking_; // last: its jobs touch all of the above
};

} // namespace sluice::daemon
