// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/function.hpp"
#include "base/worker_pool.hpp"
#include "protocol/file_handle.hpp"
#include "protocol/fuse_request.hpp"

#include <memory>

namespace sluice::protocol {

/// Answers a READ with bytes of the backing file, on a worker, after looking whether they are there: the one look that
/// decides, for it waits for writes under way, which the loop must not. What cannot be read is EIO.
///
/// The file's own pages are not cached: EROFS caches what it has read.
class FuseReader {
public:
    /// Gets the request back, on a worker, when there is a hole in its range.
    using OnHole = UniqueFunction<void(FuseRequest)>;

    explicit FuseReader(WorkerPool& workers) : workers_{workers} {}

    /// Without `on_hole`, a hole is EIO.
    void answer(FuseRequest request, std::shared_ptr<FileHandle> file, ByteRange range, OnHole on_hole);

private:
    WorkerPool& workers_;
};

} // namespace sluice::protocol
