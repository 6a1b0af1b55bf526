// SPDX-License-Identifier: Apache-2.0
#include "fetcher/source.hpp"

#include "fetcher/buffer_gate.hpp"
#include "fetcher/oci_layout.hpp"
#include "fetcher/registry_client.hpp"

#include <utility>

namespace sluice::fetcher {

Sources::Sources(EventLoop& loop, RegistryOptions options, BufferPool& pool, Sha256Function sha256)
    : buffers_{std::make_unique<BufferGate>(loop, pool)}
    , registry_{std::make_unique<RegistryClient>(loop, std::move(options), *buffers_, sha256)}
    , layout_{std::make_unique<OciLayout>(loop, *buffers_, sha256)}
{}

Sources::~Sources() = default;

ImageSource& Sources::choose(const std::string& repository) noexcept
{
    if (repository.starts_with("oci:")) {
        return *layout_;
    }
    return *registry_;
}

const FetchCounters& Sources::counters() const noexcept
{
    return registry_->counters();
}

Task<Result<void>> Sources::fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms)
{
    auto& source = choose(blob.repository);
    return source.fetch(std::move(blob), range, sink, terms);
}

Task<Result<RawManifest>> Sources::fetch_manifest(std::string repository, std::string tag_or_digest, Deadline deadline)
{
    auto& source = choose(repository);
    return source.fetch_manifest(std::move(repository), std::move(tag_or_digest), deadline);
}

Task<Result<std::string>> Sources::fetch_small_blob(BlobLocation blob, std::size_t limit, Deadline deadline)
{
    auto& source = choose(blob.repository);
    return source.fetch_small_blob(std::move(blob), limit, deadline);
}

Task<Result<bool>> Sources::blob_exists(std::string repository, Digest digest, Deadline deadline)
{
    auto& source = choose(repository);
    return source.blob_exists(std::move(repository), digest, deadline);
}

Task<Result<void>> Sources::push_blob(
    std::string repository, int fd, Digest digest, std::uint64_t size, PushProgress progress, Deadline deadline
)
{
    auto& source = choose(repository);
    return source.push_blob(std::move(repository), fd, digest, size, std::move(progress), deadline);
}

Task<Result<void>> Sources::push_blob_bytes(std::string repository, std::string bytes, Digest digest, Deadline deadline)
{
    auto& source = choose(repository);
    return source.push_blob_bytes(std::move(repository), std::move(bytes), digest, deadline);
}

Task<Result<void>> Sources::put_manifest(
    std::string repository, std::string tag_or_digest, std::string media_type, std::string bytes, Deadline deadline
)
{
    auto& source = choose(repository);
    return source.put_manifest(
        std::move(repository), std::move(tag_or_digest), std::move(media_type), std::move(bytes), deadline
    );
}

} // namespace sluice::fetcher
