// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/worker_pool.hpp"
#include "fetcher/image_source.hpp"

namespace sluice::fetcher {

class BufferGate;

/// Images in OCI image layout directories: `repository` is "oci:/path". Tags are
/// org.opencontainers.image.ref.name annotations of index.json. On the loop's thread; workers open, read and hash. What
/// is read is given up at the deadline, wherever the worker stands. Must outlive its tasks.
class OciLayout final : public BlobSource, public ImageSource {
public:
    OciLayout(EventLoop& loop, BufferGate& buffers, Sha256Function sha256);

    [[nodiscard]] Task<Result<void>>
    fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms) override;
    [[nodiscard]] Task<Result<RawManifest>>
    fetch_manifest(std::string repository, std::string tag_or_digest, Deadline deadline) override;
    [[nodiscard]] Task<Result<std::string>>
    fetch_small_blob(BlobLocation blob, std::size_t limit, Deadline deadline) override;

private:
    [[nodiscard]] Task<Result<void>>
    read(std::string path, BlobLocation blob, ByteRange range, ChunkSink& sink, Urgency urgency);

    EventLoop& loop_;
    BufferGate& buffers_;
    Sha256Function sha256_;
    WorkerPool workers_; // last: its jobs end before the rest goes
};

} // namespace sluice::fetcher
