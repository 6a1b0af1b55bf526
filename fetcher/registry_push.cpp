// SPDX-License-Identifier: Apache-2.0
#include "fetcher/registry_push.hpp"

#include "base/text.hpp"
#include "fetcher/http_status.hpp"
#include "fetcher/url.hpp"

#include <fmt/format.h>
#include <utility>

namespace sluice::fetcher {

Task<Result<bool>> RegistryPush::blob_exists(std::string repository, Digest digest, Deadline deadline)
{
    auto place = Repository::parse(repository);
    if (!place) {
        co_return fail(std::move(place.error()));
    }
    RegistryCall call;
    call.request.method = "HEAD";
    call.request.url = session_.base_url(*place) + "blobs/" + digest.to_string();
    call.request.deadline = deadline;
    call.scope = {std::move(*place), true};
    const auto response = co_await session_.call(std::move(call));
    const auto what = fmt::format("{}: blob {}", repository, digest.to_string());
    if (!response) {
        co_return fail(response.error(), what);
    }
    if (response->status == http_status::kOk) {
        co_return true;
    }
    if (response->status == http_status::kNotFound) {
        co_return false;
    }
    co_return fail(status_error(response->status, response->body, what));
}

Task<Result<void>> RegistryPush::push_blob(
    std::string repository, int fd, Digest digest, std::uint64_t size, PushProgress progress, Deadline deadline
)
{
    HttpRequest body;
    body.upload = HttpUpload{fd, size, std::move(progress)};
    return upload(std::move(repository), std::move(body), digest, deadline);
}

Task<Result<void>>
RegistryPush::push_blob_bytes(std::string repository, std::string bytes, Digest digest, Deadline deadline)
{
    HttpRequest body;
    body.body = std::move(bytes);
    return upload(std::move(repository), std::move(body), digest, deadline);
}

Task<Result<RegistryPush::Target>> RegistryPush::start_upload(Repository repository, Deadline deadline)
{
    const auto what = fmt::format("{}: cannot start an upload", repository.to_string());
    RegistryCall call;
    call.request.method = "POST";
    call.request.url = session_.base_url(repository) + "blobs/uploads/";
    call.request.deadline = deadline;
    call.scope = {std::move(repository), true};
    const auto url = call.request.url;
    const auto response = co_await session_.call(std::move(call));
    if (!response) {
        co_return fail(response.error(), what);
    }
    const auto* location = response->headers.find("location");
    if (response->status != http_status::kAccepted || location == nullptr) {
        co_return fail(status_error(response->status, response->body, what));
    }
    auto next = resolve_location(url, *location);
    if (!next) {
        co_return fail(std::move(next.error()));
    }
    Target target{std::move(*next), response->network};
    co_return target;
}

Task<Result<void>> RegistryPush::upload(std::string repository, HttpRequest body, Digest digest, Deadline deadline)
{
    auto place = Repository::parse(repository);
    if (!place) {
        co_return fail(std::move(place.error()));
    }
    auto target = co_await start_upload(*place, deadline);
    if (!target) {
        co_return fail(std::move(target.error()));
    }
    RegistryCall call;
    call.request = std::move(body);
    call.request.method = "PUT";
    call.request.url = with_query(std::move(target->url), {{"digest", digest.to_string()}});
    call.request.sent_by = target->sent_by;
    call.request.headers.emplace_back("Content-Type: application/octet-stream");
    call.request.deadline = deadline;
    call.scope = {std::move(*place), true};
    call.retry = false; // an upload that broke off has no place to go on: the session at the
                        // registry is spoilt
    const auto response = co_await session_.call(std::move(call));
    const auto what = fmt::format("{}: cannot upload blob {}", repository, digest.to_string());
    if (!response) {
        co_return fail(response.error(), what);
    }
    if (response->status != http_status::kCreated && response->status != http_status::kNoContent) {
        co_return fail(status_error(response->status, response->body, what));
    }
    co_return Result<void>{};
}

Task<Result<void>> RegistryPush::put_manifest(
    std::string repository, std::string tag_or_digest, std::string media_type, std::string bytes, Deadline deadline
)
{
    auto place = Repository::parse(repository);
    if (!place) {
        co_return fail(std::move(place.error()));
    }
    RegistryCall call;
    call.request.method = "PUT";
    call.request.url = session_.base_url(*place) + "manifests/" + tag_or_digest;
    call.request.headers.push_back("Content-Type: " + media_type);
    call.request.body = std::move(bytes);
    call.request.deadline = deadline;
    call.scope = {std::move(*place), true};
    const auto response = co_await session_.call(std::move(call));
    const auto what = fmt::format("{}: cannot put manifest {}", repository, printable(tag_or_digest));
    if (!response) {
        co_return fail(response.error(), what);
    }
    if (response->status != http_status::kCreated) {
        co_return fail(status_error(response->status, response->body, what));
    }
    co_return Result<void>{};
}

} // namespace sluice::fetcher
