// SPDX-License-Identifier: Apache-2.0
#include "fetcher/blob_attempt.hpp"

#include "fetcher/http_status.hpp"

#include <fmt/format.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr unsigned kMaxAuthRounds = 2;

/// Whether a storage service's refusal may only mean that its signed URL is over.
bool may_be_expired(int status) noexcept
{
    return status == 400 || status == 401 || status == 403 || status == 404;
}

} // namespace

bool is_delivery(const RangeReply& reply) noexcept
{
    return reply.status == http_status::kPartialContent || reply.status == http_status::kOk;
}

BlobAttempt::BlobAttempt(AttemptTools tools, const BlobJob& job, ChunkSink& sink, RangeProgress& progress)
    : tools_{tools}
    , job_{job}
    , sink_{sink}
    , progress_{progress}
    , scope_{job.repository, false}
    , key_{job.repository.to_string() + '@' + job.blob.digest.to_string()}
    , url_{job.registry_url}
{}

Task<Result<RangeReply>> BlobAttempt::run()
{
    const auto begun = begin();
    if (!begun) {
        co_return fail(begun.error());
    }
    for (;;) {
        auto reply = co_await send();
        if (!reply) {
            co_return fail(failed(reply.error()));
        }
        const auto again = co_await goes_on(*reply);
        if (!again) {
            co_return fail(again.error());
        }
        if (!*again) {
            co_return reply;
        }
    }
}

Result<void> BlobAttempt::begin()
{
    const auto& registry = job_.repository.registry;
    const bool is_far = job_.range.begin() > tools_.session.options().max_skip;
    if (is_far && tools_.habits.ignores(registry, tools_.session.options().now())) {
        return fail(ErrorKind::kUnsupported, fmt::format("{} ignores Range", registry));
    }
    auto home = origin_of(job_.registry_url);
    if (!home) {
        return fail(std::move(home.error()));
    }
    home_ = std::move(*home);
    if (auto known = tools_.redirects.find(key_, SteadyClock::now())) {
        remembered_ = true;
        url_ = std::move(known->url);
        home_network_ = known->home;
    }
    return {};
}

Task<Result<RangeReply>> BlobAttempt::send()
{
    const auto here = origin_of(url_);
    if (!here) {
        co_return fail(here.error());
    }
    at_registry_ = *here == home_;
    if (at_registry_ && authorization_.empty()) {
        authorization_ = co_await tools_.session.authorizer().header(scope_);
    }
    asked_ = tools_.session.options().now();
    auto sent = at_registry_ ? authorization_ : std::string{};
    sent_token_ = !sent.empty();
    auto reply = co_await request(std::move(sent));
    if (reply && at_registry_) {
        home_network_ = reply->network;
    }
    co_return reply;
}

Task<Result<RangeReply>> BlobAttempt::request(std::string authorization)
{
    ++tools_.session.counters().requests;
    std::vector<std::string> headers;
    if (!authorization.empty()) {
        headers.push_back("Authorization: " + authorization);
    }
    const auto& options = tools_.session.options();
    RangeParameters parameters{
        .url = url_,
        .headers = std::move(headers),
        .range = ByteRange{progress_.position, job_.range.end()},
        .total = job_.blob.size,
        .max_skip = options.max_skip,
        .urgency = job_.terms.urgency,
        .sent_by = at_registry_ ? std::nullopt : std::optional{home_network_},
        .deadline = progress_.patience->until(),
    };
    RangeRequest range{
        tools_.session.http().engine(), tools_.buffers, options.http, std::move(parameters), sink_, progress_};
    auto reply = co_await range;
    co_return reply;
}

Error BlobAttempt::failed(const Error& error)
{
    tools_.redirects.drop(key_, url_); // storage that fails may have moved: the next try asks the registry
    if (error.kind() != ErrorKind::kUnsupported) {
        return error;
    }
    const auto& registry = job_.repository.registry;
    tools_.habits.ignored(registry, asked_, tools_.session.options().now());
    // It may have been a slip; the next try shows.
    const bool is_habit = tools_.habits.ignores(registry, tools_.session.options().now());
    return is_habit ? error : Error{ErrorKind::kTransient, error.text()};
}

Task<Result<bool>> BlobAttempt::goes_on(RangeReply& reply)
{
    if (is_delivery(reply)) {
        if (reply.status == http_status::kPartialContent) {
            tools_.habits.kept(job_.repository.registry);
        }
        co_return false;
    }
    if (is_redirect(reply.status)) {
        co_return follow(reply);
    }
    if (at_registry_ && reply.status == http_status::kUnauthorized && rounds_ < kMaxAuthRounds) {
        auto answered = co_await answer(reply);
        co_return answered;
    }
    if (doubt_token(reply)) {
        co_return true;
    }
    if (may_be_expired(reply.status)) {
        co_return ask_registry_again();
    }
    tools_.redirects.drop(key_, url_);
    co_return false;
}

Result<bool> BlobAttempt::follow(const RangeReply& reply)
{
    auto next = next_hop(url_, reply.headers.find("location"), hops_);
    if (!next) {
        // What leads nowhere, or round and round, is not remembered; and what was remembered may have grown old.
        tools_.redirects.drop(key_, url_);
        if (remembered_ && ask_registry_again()) {
            return true;
        }
        return fail(std::move(next.error()));
    }
    ++hops_;
    ++tools_.session.counters().redirects;
    url_ = std::move(*next);
    const auto lifetime = signed_url_lifetime(url_, WallClock::now());
    tools_.redirects.put(key_, {url_, home_network_}, lifetime, SteadyClock::now());
    return true;
}

Task<Result<bool>> BlobAttempt::answer(RangeReply& reply)
{
    ++rounds_;
    auto fields = reply.headers.all("www-authenticate");
    AuthAsker asker{home_.scheme, home_network_};
    auto answer =
        co_await tools_.session.authorizer().answer(scope_, std::move(asker), std::move(fields), authorization_);
    if (!answer) {
        co_return fail(std::move(answer.error()));
    }
    authorization_ = std::move(*answer);
    co_return true;
}

/// Some registries say 403 where a token is too old.
bool BlobAttempt::doubt_token(const RangeReply& reply)
{
    const bool is_forbidden = at_registry_ && reply.status == http_status::kForbidden && sent_token_;
    if (!is_forbidden || std::exchange(doubted_, true)) {
        return false;
    }
    tools_.session.authorizer().doubt(scope_, authorization_);
    authorization_.clear();
    return true;
}

/// Where we are is no good: once, the registry may say where to go instead.
bool BlobAttempt::ask_registry_again()
{
    tools_.redirects.drop(key_, url_);
    if (url_ == job_.registry_url || std::exchange(resolved_again_, true)) {
        return false;
    }
    url_ = job_.registry_url;
    hops_ = 0;
    return true;
}

} // namespace sluice::fetcher
