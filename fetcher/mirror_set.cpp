// SPDX-License-Identifier: Apache-2.0
#include "fetcher/mirror_set.hpp"

#include "fetcher/patience.hpp"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>
#include <optional>
#include <utility>

namespace sluice::fetcher {

namespace {

/// Whether the place may answer another time; else it is not asked again by the same fetch.
bool may_pass(ErrorKind kind) noexcept
{
    return kind == ErrorKind::kTransient || kind == ErrorKind::kTimeout;
}

/// Whether no other place can help.
bool is_ours(ErrorKind kind) noexcept
{
    return kind == ErrorKind::kNoSpace || kind == ErrorKind::kCancelled || kind == ErrorKind::kInternal;
}

/// Of several failures, the one that tells most: a larger number.
int weight(ErrorKind kind) noexcept
{
    switch (kind) {
    case ErrorKind::kNotFound:
        return 0;
    case ErrorKind::kTransient:
    case ErrorKind::kTimeout:
        return 3;
    case ErrorKind::kCorrupt:
        return 4;
    case ErrorKind::kDenied:
        return 2;
    default:
        return 1;
    }
}

} // namespace

/// One fetch, as its attempts see it. Lives in the frame of fetch().
struct MirrorSet::Job {
    std::vector<std::string> repositories; ///< those that may still have it
    std::size_t known = 0;                 ///< how many there were
    Digest digest;
    std::uint64_t size;
    FetchTerms terms;
    Patience patience;
    std::optional<Error> told;               ///< the most telling failure so far
    std::optional<milliseconds> retry_after; ///< the least that was wished for in this round
};

/// Knows how far the sink has got, and tells it whose bytes it gets.
class MirrorSet::Relay final : public ChunkSink {
public:
    Relay(ChunkSink& sink, ByteRange range, Patience& patience)
        : sink_{sink}, patience_{patience}, position_{range.begin()}, end_{range.end()}
    {}

    void ask(const std::string& repository) { next_ = repository; }

    void on_chunk(std::uint64_t offset, AlignedBuffer chunk) override
    {
        assert(offset == position_);
        position_ = offset + chunk.size();
        patience_.came();
        if (current_ != next_) {
            current_ = next_;
            sink_.on_source(current_);
        }
        sink_.on_chunk(offset, std::move(chunk)); // may destroy us
    }

    [[nodiscard]] ByteRange rest() const noexcept { return {position_, end_}; }

private:
    ChunkSink& sink_;
    Patience& patience_;
    std::uint64_t position_;
    std::uint64_t end_;
    std::string current_;
    std::string next_;
};

MirrorSet::MirrorSet(EventLoop& loop, BlobRoute route, MirrorOptions options)
    : loop_{loop}, route_{std::move(route)}, options_{std::move(options)}
{}

Task<Result<void>> MirrorSet::fetch(
    std::vector<std::string> repositories,
    Digest digest,
    std::uint64_t size,
    ByteRange range,
    ChunkSink& sink,
    FetchTerms terms
)
{
    if (repositories.empty()) {
        co_return fail(
            ErrorKind::kNotFound, fmt::format("blob {}: no repository is known to hold it", digest.to_string())
        );
    }
    Job job{std::move(repositories), 0, digest, size, terms, Patience{terms}, std::nullopt, std::nullopt};
    job.known = job.repositories.size();
    Relay relay{sink, range, job.patience};
    auto outcome = co_await rotate(job, relay);
    if (!outcome && terms.note != nullptr) {
        terms.note->retry_after = job.retry_after;
    }
    co_return outcome;
}

Task<Result<void>> MirrorSet::rotate(Job& job, Relay& relay)
{
    for (unsigned round = 1;; ++round) {
        const auto before = relay.rest();
        job.retry_after.reset();
        drop_convicted(job, before);
        const auto order = in_order(job);
        for (std::size_t i = 0; i < order.size(); ++i) {
            auto repository = order[i];
            auto outcome = co_await ask(std::move(repository), job, relay, order.size() - i);
            if (outcome || relay.rest().empty()) {
                co_return Result<void>{};
            }
            if (is_ours(outcome.error().kind())) {
                co_return outcome;
            }
            if (!job.patience.moves() && job.patience.until().passed()) {
                co_return verdict(job);
            }
        }
        if (job.repositories.empty() || job.known == 1) {
            co_return verdict(job); // a single one has been asked until the deadline
        }
        round = relay.rest() == before ? round : 1;
        const auto random = static_cast<std::uint32_t>(random_());
        auto delay = backoff_delay(options_.rounds, round, job.retry_after, random);
        const auto left = job.patience.until().remaining();
        if (job.retry_after.value_or(milliseconds{0}) > left) {
            job.told = Error{ErrorKind::kTimeout, job.told->text() + "; all want to be asked again after the deadline"};
            co_return verdict(job);
        }
        if (!delay || left < options_.rounds.first) {
            co_return verdict(job);
        }
        co_await sleep_for(loop_, *delay < left ? *delay : left / 2);
    }
}

void MirrorSet::drop_convicted(Job& job, ByteRange rest) const
{
    if (job.known == 1) {
        return; // there is nobody else to ask, and it may have been mended
    }
    const auto is_convicted = [&](const std::string& repository) {
        if (!blames_.convicted(repository, job.digest, rest, options_.now())) {
            return false;
        }
        job.told = Error{
            ErrorKind::kCorrupt,
            fmt::format(
                "{}: blob {}: bytes {} have come wrong twice", repository, job.digest.to_string(), rest.to_string()
            )};
        return true;
    };
    std::erase_if(job.repositories, is_convicted);
}

Task<Result<void>> MirrorSet::ask(std::string repository, Job& job, Relay& relay, std::size_t left)
{
    const auto now = options_.now();
    if (const auto host = host_of_repository(repository); health_.state(host, now) == SourceHealth::State::kProbation) {
        health_.probing(host, now);
    }
    FetchNote note;
    auto terms = job.terms;
    terms.note = &note;
    if (job.known > 1) {
        const auto time = job.patience.until().remaining();
        const auto share = std::max(time / static_cast<milliseconds::rep>(left), std::min(options_.least_share, time));
        terms.deadline = job.patience.moves() ? Deadline::after(job.terms.stall) : Deadline::after(share);
        terms.once = true;
    }
    relay.ask(repository);
    BlobLocation place{repository, job.digest, job.size};
    auto outcome = co_await route_(repository).fetch(std::move(place), relay.rest(), relay, terms);
    judge(repository, job, outcome, note);
    co_return outcome;
}

std::vector<std::string> MirrorSet::in_order(const Job& job) const
{
    const auto now = options_.now();
    const auto rank = [&](const std::string& repository) {
        auto state = health_.state(host_of_repository(repository), now);
        if (state == SourceHealth::State::kProbation && job.terms.urgency != Urgency::kDemand) {
            state = SourceHealth::State::kGood; // somebody has to find out, and it need not be a reader
        }
        return std::pair{blames_.suspected(repository, job.digest, now), state};
    };
    auto order = job.repositories;
    std::ranges::stable_sort(order, {}, rank);
    return order;
}

void MirrorSet::judge(const std::string& repository, Job& job, const Result<void>& outcome, const FetchNote& note)
{
    const auto host = host_of_repository(repository);
    if (outcome) {
        health_.succeeded(host);
        return;
    }
    const auto& error = outcome.error();
    if (may_pass(error.kind())) {
        if (note.asked) {
            health_.failed(host, options_.now());
        }
        const auto wish = note.retry_after.value_or(milliseconds{0});
        job.retry_after = std::min(job.retry_after.value_or(wish), wish);
    } else {
        std::erase(job.repositories, repository);
    }
    if (!job.told || weight(error.kind()) >= weight(job.told->kind())) {
        job.told = error;
    }
}

Result<void> MirrorSet::verdict(const Job& job) const
{
    assert(job.told);
    if (job.known == 1) {
        return fail(*job.told);
    }
    const bool over = job.patience.until().remaining() < options_.rounds.first && may_pass(job.told->kind());
    return fail(
        over ? ErrorKind::kTimeout : job.told->kind(),
        fmt::format("{} (none of {} repositories delivered)", job.told->text(), job.known)
    );
}

void MirrorSet::blame(const std::string& repository, const Digest& digest, ByteRange range)
{
    blames_.blame(repository, digest, range, options_.now());
}

} // namespace sluice::fetcher
