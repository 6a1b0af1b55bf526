// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "fetcher/image_source.hpp"
#include "fetcher/registry_options.hpp"

#include <memory>

namespace sluice::fetcher {

class BufferGate;

/// Images in registries that speak the OCI distribution protocol. `repository` is "registry/name"
/// everywhere. On the loop's thread; must outlive its tasks.
class RegistryClient final : public ImageSource {
public:
    /// Throws std::runtime_error when libcurl cannot be set up.
    RegistryClient(EventLoop& loop, RegistryOptions options, BufferGate& buffers, Sha256Function sha256);
    ~RegistryClient() override;

    [[nodiscard]] Task<Result<void>>
    fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms) override;
    [[nodiscard]] Task<Result<RawManifest>>
    fetch_manifest(std::string repository, std::string tag_or_digest, Deadline deadline) override;
    [[nodiscard]] Task<Result<std::string>>
    fetch_small_blob(BlobLocation blob, std::size_t limit, Deadline deadline) override;

    [[nodiscard]] Task<Result<bool>> blob_exists(std::string repository, Digest digest, Deadline deadline) override;
    [[nodiscard]] Task<Result<void>> push_blob(
        std::string repository, int fd, Digest digest, std::uint64_t size, PushProgress progress, Deadline deadline
    ) override;
    [[nodiscard]] Task<Result<void>>
    push_blob_bytes(std::string repository, std::string bytes, Digest digest, Deadline deadline) override;
    [[nodiscard]] Task<Result<void>> put_manifest(
        std::string repository, std::string tag_or_digest, std::string media_type, std::string bytes, Deadline deadline
    ) override;

    [[nodiscard]] const FetchCounters& counters() const noexcept;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace sluice::fetcher
