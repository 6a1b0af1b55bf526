// SPDX-License-Identifier: Apache-2.0
#include "fetcher/registry_client.hpp"

#include "base/text.hpp"
#include "fetcher/blob_fetcher.hpp"
#include "fetcher/http_status.hpp"
#include "fetcher/registry_push.hpp"
#include "fetcher/registry_session.hpp"

#include <fmt/format.h>
#include <utility>

namespace sluice::fetcher {

namespace {

RegistryCall make_call(RegistrySession& session, Repository repository, const std::string& path, Deadline deadline)
{
    RegistryCall call;
    call.request.url = session.base_url(repository) + path;
    call.request.deadline = deadline;
    call.scope.repository = std::move(repository);
    return call;
}

} // namespace

class RegistryClient::Impl {
public:
    Impl(EventLoop& loop, RegistryOptions options, BufferGate& buffers, Sha256Function hash)
        : sha256{hash}, session{loop, std::move(options)}, blobs{session, buffers}, push{session}
    {}

    Sha256Function sha256;
    RegistrySession session;
    BlobFetcher blobs;
    RegistryPush push;
};

RegistryClient::RegistryClient(EventLoop& loop, RegistryOptions options, BufferGate& buffers, Sha256Function sha256)
    : impl_{std::make_unique<Impl>(loop, std::move(options), buffers, sha256)}
{}

RegistryClient::~RegistryClient() = default;

const FetchCounters& RegistryClient::counters() const noexcept
{
    return impl_->session.counters();
}

Task<Result<void>> RegistryClient::fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms)
{
    return impl_->blobs.fetch(std::move(blob), range, sink, terms);
}

Task<Result<RawManifest>>
RegistryClient::fetch_manifest(std::string repository, std::string tag_or_digest, Deadline deadline)
{
    auto place = Repository::parse(repository);
    if (!place) {
        co_return fail(std::move(place.error()));
    }
    const auto what = fmt::format("{}: manifest {}", repository, printable(tag_or_digest));
    auto call = make_call(impl_->session, std::move(*place), "manifests/" + tag_or_digest, deadline);
    call.request.limit = kMaxManifestSize;
    call.request.headers.push_back(fmt::format(
        "Accept: {}, {}, {}, {}",
        media_type::kOciIndex,
        media_type::kOciManifest,
        media_type::kDockerList,
        media_type::kDockerManifest
    ));
    auto response = co_await impl_->session.call(std::move(call));
    if (!response) {
        co_return fail(response.error(), what);
    }
    if (response->status != http_status::kOk) {
        co_return fail(status_error(response->status, response->body, what));
    }
    auto job = [hash = impl_->sha256, bytes = std::move(response->body)]() mutable {
        RawManifest hashed;
        hashed.digest = hash(as_byte_span(bytes));
        hashed.bytes = std::move(bytes);
        return hashed;
    };
    auto raw = co_await impl_->session.workers().run(impl_->session.loop(), std::move(job));
    if (const auto* type = response->headers.find("content-type")) {
        raw.media_type = *type;
    }
    // The server's own Docker-Content-Digest proves nothing.
    const auto wanted = Digest::parse(tag_or_digest);
    if (wanted && *wanted != raw.digest) {
        co_return fail(
            ErrorKind::kCorrupt, fmt::format("{}: its bytes have the digest {}", what, raw.digest.to_string())
        );
    }
    co_return raw;
}

Task<Result<std::string>> RegistryClient::fetch_small_blob(BlobLocation blob, std::size_t limit, Deadline deadline)
{
    auto place = Repository::parse(blob.repository);
    if (!place) {
        co_return fail(std::move(place.error()));
    }
    const auto what = fmt::format("{}: blob {}", blob.repository, blob.digest.to_string());
    if (blob.size > limit) {
        co_return fail(
            ErrorKind::kInvalid,
            fmt::format("{}: {}, more than the {} allowed", what, format_size(blob.size), format_size(limit))
        );
    }
    auto call = make_call(impl_->session, std::move(*place), "blobs/" + blob.digest.to_string(), deadline);
    call.request.limit = static_cast<std::size_t>(blob.size);
    auto response = co_await impl_->session.call(std::move(call));
    if (!response) {
        co_return fail(response.error(), what);
    }
    if (response->status != http_status::kOk) {
        co_return fail(status_error(response->status, response->body, what));
    }
    impl_->session.counters().bytes_received += response->body.size();
    auto job = [hash = impl_->sha256, blob, what, bytes = std::move(response->body)]() mutable -> Result<std::string> {
        if (bytes.size() != blob.size || hash(as_byte_span(bytes)) != blob.digest) {
            return fail(ErrorKind::kCorrupt, fmt::format("{}: its bytes do not match its digest", what));
        }
        return std::move(bytes);
    };
    auto proved = co_await impl_->session.workers().run(impl_->session.loop(), std::move(job));
    co_return proved;
}

Task<Result<bool>> RegistryClient::blob_exists(std::string repository, Digest digest, Deadline deadline)
{
    return impl_->push.blob_exists(std::move(repository), digest, deadline);
}

Task<Result<void>> RegistryClient::push_blob(
    std::string repository, int fd, Digest digest, std::uint64_t size, PushProgress progress, Deadline deadline
)
{
    HttpRequest body;
    body.upload = HttpUpload{fd, size, std::move(progress)};
    return impl_->push.upload(std::move(repository), std::move(body), digest, deadline);
}

Task<Result<void>>
RegistryClient::push_blob_bytes(std::string repository, std::string bytes, Digest digest, Deadline deadline)
{
    HttpRequest body;
    body.body = std::move(bytes);
    return impl_->push.upload(std::move(repository), std::move(body), digest, deadline);
}

Task<Result<void>> RegistryClient::put_manifest(
    std::string repository, std::string tag_or_digest, std::string media_type, std::string bytes, Deadline deadline
)
{
    return impl_->push.put_manifest(
        std::move(repository), std::move(tag_or_digest), std::move(media_type), std::move(bytes), deadline
    );
}

} // namespace sluice::fetcher
