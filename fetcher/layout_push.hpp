// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/worker_pool.hpp"
#include "fetcher/image_target.hpp"

namespace sluice::fetcher {

/// Writes images into OCI image layout directories: `repository` is "oci:/path". Makes the directory where it is
/// missing, and replaces files by rename. On the loop's thread; workers do all that touches files. Must outlive its
/// tasks.
class LayoutPush final : public ImageTarget {
public:
    LayoutPush(EventLoop& loop, Sha256Function sha256);

    [[nodiscard]] Task<Result<bool>> blob_exists(std::string repository, Digest digest, Deadline deadline) override;
    [[nodiscard]] Task<Result<void>> push_blob(
        std::string repository, int fd, Digest digest, std::uint64_t size, PushProgress progress, Deadline deadline
    ) override;
    [[nodiscard]] Task<Result<void>>
    push_blob_bytes(std::string repository, std::string bytes, Digest digest, Deadline deadline) override;
    [[nodiscard]] Task<Result<void>> put_manifest(
        std::string repository, std::string tag_or_digest, std::string media_type, std::string bytes, Deadline deadline
    ) override;

private:
    EventLoop& loop_;
    Sha256Function sha256_;
    WorkerPool workers_; // last: its jobs end before the rest goes
};

} // namespace sluice::fetcher
