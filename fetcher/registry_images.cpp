// SPDX-License-Identifier: Apache-2.0
#include "fetcher/registry_images.hpp"

#include "base/text.hpp"
#include "fetcher/http_status.hpp"

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

Task<Result<RawManifest>>
RegistryImages::fetch_manifest(std::string repository, std::string tag_or_digest, Deadline deadline)
{
    auto place = Repository::parse(repository);
    if (!place) {
        co_return fail(std::move(place.error()));
    }
    const auto what = fmt::format("{}: manifest {}", repository, printable(tag_or_digest));
    auto call = make_call(session_, std::move(*place), "manifests/" + tag_or_digest, deadline);
    call.request.limit = kMaxManifestSize;
    call.request.headers.push_back(fmt::format(
        "Accept: {}, {}, {}, {}",
        media_type::kOciIndex,
        media_type::kOciManifest,
        media_type::kDockerList,
        media_type::kDockerManifest
    ));
    auto response = co_await session_.call(std::move(call));
    if (!response) {
        co_return fail(response.error(), what);
    }
    if (response->status != http_status::kOk) {
        co_return fail(status_error(response->status, response->body, what));
    }
    auto job = [hash = sha256_, bytes = std::move(response->body)]() mutable {
        RawManifest hashed;
        hashed.digest = hash(as_byte_span(bytes));
        hashed.bytes = std::move(bytes);
        return hashed;
    };
    auto raw = co_await session_.workers().run(session_.loop(), std::move(job));
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

Task<Result<std::string>> RegistryImages::fetch_small_blob(BlobLocation blob, std::size_t limit, Deadline deadline)
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
    auto call = make_call(session_, std::move(*place), "blobs/" + blob.digest.to_string(), deadline);
    call.request.limit = static_cast<std::size_t>(blob.size);
    auto response = co_await session_.call(std::move(call));
    if (!response) {
        co_return fail(response.error(), what);
    }
    if (response->status != http_status::kOk) {
        co_return fail(status_error(response->status, response->body, what));
    }
    session_.counters().bytes_received += response->body.size();
    auto job = [hash = sha256_, blob, what, bytes = std::move(response->body)]() mutable -> Result<std::string> {
        if (bytes.size() != blob.size || hash(as_byte_span(bytes)) != blob.digest) {
            return fail(ErrorKind::kCorrupt, fmt::format("{}: its bytes do not match its digest", what));
        }
        return std::move(bytes);
    };
    auto proved = co_await session_.workers().run(session_.loop(), std::move(job));
    co_return proved;
}

} // namespace sluice::fetcher
