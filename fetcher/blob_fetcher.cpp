// SPDX-License-Identifier: Apache-2.0
#include "fetcher/blob_fetcher.hpp"

#include "base/text.hpp"
#include "fetcher/http_status.hpp"

#include <cassert>
#include <fmt/format.h>
#include <optional>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr milliseconds kGrace{100};

std::string describe(const BlobLocation& blob)
{
    return fmt::format("{}: blob {}", blob.repository, blob.digest.to_string());
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
    BlobJob job{std::move(*repository), std::move(blob), std::move(url), range, terms};
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

Task<Result<void>> BlobFetcher::try_until(BlobJob job, ChunkSink& sink, Course& course)
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

Task<Result<RangeReply>> BlobFetcher::one_try(BlobJob& job, ChunkSink& sink, Course& course)
{
    std::optional<Patience::Hold> hold{std::in_place, course.patience};
    if (job.terms.note != nullptr) {
        job.terms.note->asked = false;
        job.terms.note->retry_after.reset();
    }
    auto host = job.repository.registry;
    // For one try: who waits for the next holds none.
    const auto slot = co_await slots_.acquire(std::move(host), job.terms.urgency);
    hold.reset();
    if (job.terms.note != nullptr) {
        job.terms.note->asked = true;
    }
    const AttemptTools tools{session_, buffers_, redirects_, habits_};
    BlobAttempt attempt{tools, job, sink, course.progress};
    auto reply = co_await attempt.run();
    session_.counters().bytes_received += std::exchange(course.progress.received, 0);
    co_return reply;
}

} // namespace sluice::fetcher
