// SPDX-License-Identifier: Apache-2.0
#include "fetcher/blob_fetcher.hpp"

#include "base/text.hpp"
#include "fetcher/http_status.hpp"
#include "fetcher/url.hpp"

#include <cassert>
#include <fmt/format.h>
#include <optional>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr unsigned kMaxAuthRounds = 2;
constexpr milliseconds kNoRangesFor{60'000};
constexpr milliseconds kGrace{100};

std::string describe(const BlobLocation& blob)
{
    return fmt::format("{}: blob {}", blob.repository, blob.digest.to_string());
}

/// Whether a storage service's refusal may only mean that its signed URL is over.
bool may_be_expired(int status) noexcept
{
    return status == 400 || status == 401 || status == 403 || status == 404;
}

bool is_delivery(const RangeReply& reply) noexcept
{
    return reply.status == http_status::kPartialContent || reply.status == http_status::kOk;
}

} // namespace

BlobFetcher::BlobFetcher(RegistrySession& session, BufferGate& buffers)
    : session_{session}, buffers_{buffers}, slots_{session.loop(), session.options().http.connections_per_host}
{}

Task<Result<void>> BlobFetcher::fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms)
{
    assert(!range.empty() && range.end() <= blob.size);
    auto repository = Repository::parse(blob.repository);
    if (!repository) {
        co_return fail(std::move(repository.error()));
    }
    const auto what = describe(blob);
    auto url = session_.base_url(*repository) + "blobs/" + blob.digest.to_string();
    Course course{terms};
    course.progress = {range.begin(), 0, &course.patience};
    Job job{std::move(*repository), std::move(blob), std::move(url), range, terms};
    auto inner = try_until(std::move(job), sink, course);
    auto explain = [&course, &what] {
        const auto before = course.last_failure.empty() ? std::string{} : "; last: " + course.last_failure;
        return fmt::format("{}: not done within the deadline{}", what, before);
    };
    // libcurl watches an attempt's deadline too, and what came until then is delivered: so it goes first.
    auto outcome =
        co_await with_patience(session_.loop(), std::move(inner), course.patience, kGrace, std::move(explain));
    co_return outcome;
}

Task<Result<void>> BlobFetcher::try_until(Job job, ChunkSink& sink, Course& course)
{
    auto& progress = course.progress;
    for (unsigned tries = 1;; ++tries) {
        const auto before = progress.position;
        auto reply = co_await one_try(job, sink, course);
        if ((reply && is_delivery(*reply)) || progress.position == job.range.end()) {
            co_return Result<void>{}; // the latter: all was there before it failed
        }
        const auto what = describe(job.blob);
        const auto error = reply ? status_error(reply->status, reply->body, what) : reply.error().within(what);
        const auto wish = reply ? retry_after(reply->headers) : std::nullopt;
        course.last_failure = error.text();
        if (job.terms.note != nullptr) {
            job.terms.note->retry_after = wish;
        }
        if (job.terms.once) {
            session_.counters().count(error.kind());
            co_return fail(error);
        }
        tries = progress.position > before ? 1 : tries; // it gets somewhere
        const auto delay = session_.next_try(error, tries, wish, course.patience.until());
        if (!delay) {
            co_return fail(delay.error());
        }
        job.range = ByteRange{progress.position, job.range.end()};
        co_await sleep_for(session_.loop(), *delay);
    }
}

Task<Result<RangeReply>> BlobFetcher::one_try(Job& job, ChunkSink& sink, Course& course)
{
    std::optional<Patience::Hold> hold{std::in_place, course.patience};
    if (job.terms.note != nullptr) {
        job.terms.note->asked = false;
    }
    auto host = job.repository.registry;
    // For one try: who waits for the next holds none.
    const auto slot = co_await slots_.acquire(std::move(host), job.terms.urgency);
    hold.reset();
    if (job.terms.note != nullptr) {
        job.terms.note->asked = true;
    }
    auto reply = co_await attempt(job, sink, course.progress);
    session_.counters().bytes_received += std::exchange(course.progress.received, 0);
    co_return reply;
}

// Redirects, challenges and old addresses change what comes next, each in its own way.
// NOLINTNEXTLINE(readability-function-cognitive-complexity)
Task<Result<RangeReply>> BlobFetcher::attempt(Job& job, ChunkSink& sink, RangeProgress& progress)
{
    if (ignores_ranges(job)) {
        co_return fail(ErrorKind::kUnsupported, fmt::format("{} ignores Range", job.repository.registry));
    }
    const auto home = origin_of(job.registry_url);
    const AuthScope scope{job.repository, false};
    const auto key = job.repository.to_string() + '@' + job.blob.digest.to_string();
    const auto known = redirects_.find(key, SteadyClock::now());
    auto url = known ? known->url : job.registry_url;
    auto home_network = known ? known->home : Network::kPublic;
    unsigned hops = 0;
    unsigned rounds = 0;
    bool resolved_again = false;
    bool doubted = false;
    std::string authorization;
    for (;;) {
        const auto here = origin_of(url);
        if (!here || !home) {
            co_return fail(here ? home.error() : here.error());
        }
        const bool at_registry = *here == *home;
        if (at_registry && authorization.empty()) {
            authorization = co_await session_.authorizer().header(scope);
        }
        const auto sent = at_registry ? authorization : std::string{};
        const auto sent_by = at_registry ? std::nullopt : std::optional{home_network};
        auto reply = co_await request(job, url, sent, sent_by, sink, progress);
        if (!reply) {
            redirects_.drop(key, url); // storage that fails may have moved: the next try asks the registry
            if (reply.error().kind() == ErrorKind::kUnsupported) {
                no_ranges_[job.repository.registry] = SteadyClock::now() + kNoRangesFor;
            }
            co_return reply;
        }
        home_network = at_registry ? reply->network : home_network;
        if (is_redirect(reply->status)) {
            auto next = next_hop(url, reply->headers.find("location"), hops);
            if (!next) {
                co_return fail(std::move(next.error()));
            }
            ++hops;
            ++session_.counters().redirects;
            url = std::move(*next);
            redirects_.put(key, {url, home_network}, signed_url_lifetime(url, WallClock::now()), SteadyClock::now());
            continue;
        }
        if (at_registry && reply->status == http_status::kUnauthorized && rounds < kMaxAuthRounds) {
            ++rounds;
            auto fields = reply->headers.all("www-authenticate");
            const AuthAsker asker{home->scheme, home_network};
            auto answer = co_await session_.authorizer().answer(scope, asker, std::move(fields), authorization);
            if (!answer) {
                co_return fail(std::move(answer.error()));
            }
            authorization = std::move(*answer);
            continue;
        }
        const bool forbidden = at_registry && reply->status == http_status::kForbidden && !sent.empty();
        if (forbidden && !std::exchange(doubted, true)) {
            session_.authorizer().doubt(scope, sent);
            authorization.clear();
            continue;
        }
        if (url != job.registry_url && !is_delivery(*reply)) {
            redirects_.drop(key, url);
            if (may_be_expired(reply->status) && !std::exchange(resolved_again, true)) {
                url = job.registry_url;
                hops = 0;
                continue;
            }
        }
        co_return reply;
    }
}

Task<Result<RangeReply>> BlobFetcher::request(
    Job& job,
    std::string url,
    std::string authorization,
    std::optional<Network> sent_by,
    ChunkSink& sink,
    RangeProgress& progress
)
{
    ++session_.counters().requests;
    std::vector<std::string> headers;
    if (!authorization.empty()) {
        headers.push_back("Authorization: " + authorization);
    }
    RangeParameters parameters{
        .url = std::move(url),
        .headers = std::move(headers),
        .range = ByteRange{progress.position, job.range.end()},
        .total = job.blob.size,
        .max_skip = session_.options().max_skip,
        .urgency = job.terms.urgency,
        .sent_by = sent_by,
        .deadline = progress.patience->until(),
    };
    RangeRequest range{
        session_.http().engine(), buffers_, session_.options().http, std::move(parameters), sink, progress};
    auto reply = co_await range;
    co_return reply;
}

bool BlobFetcher::ignores_ranges(const Job& job) const
{
    const auto it = no_ranges_.find(job.repository.registry);
    return it != no_ranges_.end() && it->second > SteadyClock::now() && job.range.begin() > session_.options().max_skip;
}

} // namespace sluice::fetcher
