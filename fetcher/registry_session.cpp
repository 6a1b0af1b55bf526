// SPDX-License-Identifier: Apache-2.0
#include "fetcher/registry_session.hpp"

#include "base/text.hpp"
#include "fetcher/deadline_task.hpp"
#include "fetcher/http_status.hpp"
#include "fetcher/redirects.hpp"
#include "fetcher/url.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr unsigned kMaxAuthRounds = 2;

/// Entries may be written as URLs.
std::string bare_registry(std::string_view entry)
{
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (entry.starts_with(scheme)) {
            entry.remove_prefix(scheme.size());
        }
    }
    while (entry.ends_with('/')) {
        entry.remove_suffix(1);
    }
    return std::string{entry};
}

bool is_safe(const HttpRequest& request) noexcept
{
    return request.method == "GET" || request.method == "HEAD";
}

} // namespace

RegistrySession::RegistrySession(EventLoop& loop, RegistryOptions options)
    : loop_{loop}
    , options_{std::move(options)}
    , http_{loop, options_.http}
    , authorizer_{loop, http_, workers_, options_, counters_}
{
    for (auto& entry : options_.insecure) {
        entry = bare_registry(entry);
    }
}

std::string RegistrySession::base_url(const Repository& repository) const
{
    const auto is_it = [&](const std::string& entry) { return equals_ignoring_case(entry, repository.registry); };
    const bool insecure = std::ranges::any_of(options_.insecure, is_it);
    const auto host = repository.registry == "docker.io" ? "registry-1.docker.io" : repository.registry;
    return fmt::format("{}://{}/v2/{}/", insecure ? "http" : "https", host, repository.name);
}

Result<milliseconds> RegistrySession::next_try(
    const Error& error, unsigned attempt, std::optional<milliseconds> retry_after, Deadline deadline
)
{
    counters_.count(error.kind());
    if (error.kind() != ErrorKind::kTransient) {
        return fail(error);
    }
    const auto random = static_cast<std::uint32_t>(random_());
    auto delay = backoff_delay(options_.retry, attempt, retry_after, random);
    if (!delay) {
        return fail(error);
    }
    const auto left = deadline.remaining();
    if (retry_after && *retry_after >= left) { // there is no use in asking before
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(*retry_after).count();
        return fail(
            ErrorKind::kTimeout,
            fmt::format("{}; it wants to be asked again in {} s, which is after the deadline", error.text(), seconds)
        );
    }
    if (*delay >= left) {
        if (left / 2 < options_.retry.first) {
            return fail(ErrorKind::kTimeout, error.text() + ", until the deadline");
        }
        delay = std::max(left / 2, retry_after.value_or(milliseconds{0})); // the last tries come closer together
    }
    ++counters_.retries;
    return *delay;
}

Task<Result<HttpResponse>> RegistrySession::call(RegistryCall call)
{
    const auto deadline = call.request.deadline;
    auto what = fmt::format("{} {}", call.request.method, public_url(call.request.url));
    auto inner = try_until(std::move(call));
    auto response = co_await with_deadline(loop_, std::move(inner), deadline, std::move(what));
    co_return response;
}

Task<Result<HttpResponse>> RegistrySession::try_until(RegistryCall call)
{
    for (unsigned attempt = 1;; ++attempt) {
        auto copy = call;
        auto response = co_await authorized(std::move(copy));
        if (response && response->status < 400) {
            co_return response;
        }
        const auto error =
            response ? status_error(response->status, response->body, public_url(call.request.url)) : response.error();
        const auto wish = response ? retry_after(response->headers) : std::nullopt;
        const auto delay = next_try(error, attempt, wish, call.request.deadline);
        if (!delay && delay.error().kind() == ErrorKind::kTimeout) {
            co_return fail(delay.error());
        }
        if (!call.retry || !delay) {
            co_return response;
        }
        co_await sleep_for(loop_, *delay);
    }
}

Task<Result<HttpResponse>> RegistrySession::authorized(RegistryCall call)
{
    const auto registry_url = base_url(call.scope.repository);
    auto authorization = co_await authorizer_.header(call.scope);
    bool doubted = false;
    for (unsigned round = 0;; ++round) {
        auto request = call.request;
        auto answered = co_await follow(std::move(request), registry_url, authorization);
        if (!answered) {
            co_return fail(std::move(answered.error()));
        }
        auto& response = answered->response;
        const bool unauthorized = response.status == http_status::kUnauthorized;
        const bool forbidden = response.status == http_status::kForbidden;
        if (!answered->at_home && (unauthorized || forbidden)) {
            // Our name and password are the registry's. Who else wants some gets none, and names no token server.
            co_return fail(status_error(response.status, response.body, public_url(answered->url)));
        }
        if (forbidden && !authorization.empty() && !std::exchange(doubted, true)) {
            authorizer_.doubt(call.scope, authorization);
            authorization = co_await authorizer_.header(call.scope);
            continue;
        }
        if (!unauthorized || round == kMaxAuthRounds) {
            co_return std::move(response);
        }
        auto fields = response.headers.all("www-authenticate");
        const AuthAsker asker{registry_url.substr(0, registry_url.find(':')), response.network};
        auto answer = co_await authorizer_.answer(call.scope, asker, std::move(fields), authorization);
        if (!answer) {
            co_return fail(std::move(answer.error()));
        }
        if (*answer == authorization) {
            co_return std::move(response); // the same again would be refused again
        }
        authorization = std::move(*answer);
    }
}

Task<Result<RegistrySession::Answered>>
RegistrySession::follow(HttpRequest request, std::string registry_url, std::string authorization)
{
    const auto home = origin_of(registry_url);
    if (!home) {
        co_return fail(home.error());
    }
    auto home_network = request.sent_by.value_or(Network::kPublic);
    for (unsigned hops = 0;; ++hops) {
        const auto here = origin_of(request.url);
        if (!here) {
            co_return fail(here.error());
        }
        const bool at_home = *here == *home;
        auto attempt = request;
        attempt.sent_by = at_home ? std::nullopt : std::optional{home_network};
        if (at_home && !authorization.empty()) {
            attempt.headers.push_back("Authorization: " + authorization);
        }
        ++counters_.requests;
        auto response = co_await http_.send(std::move(attempt));
        if (!response) {
            co_return fail(std::move(response.error()));
        }
        home_network = at_home ? response->network : home_network;
        if (!is_redirect(response->status) || !is_safe(request)) {
            Answered answered{std::move(*response), std::move(request.url), at_home};
            co_return answered;
        }
        auto next = next_hop(request.url, response->headers.find("location"), hops);
        if (!next) {
            co_return fail(std::move(next.error()));
        }
        ++counters_.redirects;
        request.url = std::move(*next);
    }
}

} // namespace sluice::fetcher
