// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/aligned_buffer.hpp"
#include "fetcher/image_source.hpp"
#include "fetcher/registry_options.hpp"

#include <memory>

namespace sluice::fetcher {

class BufferGate;
class OciLayout;
class RegistryClient;

/// The one thing that callers need: picks registry or image layout by the repository's name.
/// On the loop's thread. Uses the pool's on_available(), so nobody else may. Must outlive its
/// tasks.
class Sources final : public ImageSource {
public:
    /// Throws std::runtime_error when libcurl cannot be set up. `pool` must outlive this object.
    Sources(EventLoop& loop, RegistryOptions options, BufferPool& pool, Sha256Function sha256);
    ~Sources() override;

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
    [[nodiscard]] ImageSource& choose(const std::string& repository) noexcept;

    std::unique_ptr<BufferGate> buffers_;
    std::unique_ptr<RegistryClient> registry_;
    std::unique_ptr<OciLayout> layout_;
};

} // namespace sluice::fetcher
