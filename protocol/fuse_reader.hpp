// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/worker_pool.hpp"
#include "protocol/file_handle.hpp"
#include "protocol/fuse_request.hpp"

#include <memory>

namespace sluice::protocol {

/// Answers a READ with bytes of the backing file, on a worker. The caller has made sure that they are there: a file
/// that cannot be read, or is too short, is EIO.
///
/// The file's own pages are not cached: EROFS caches what it has read.
class FuseReader {
public:
    explicit FuseReader(WorkerPool& workers) : workers_{workers} {}

    void answer(FuseRequest request, std::shared_ptr<FileHandle> file, ByteRange range);

private:
    WorkerPool& workers_;
};

} // namespace sluice::protocol
