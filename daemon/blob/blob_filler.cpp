// SPDX-License-Identifier: Apache-2.0
//
// The path of one READ, from the probe to the answer. Three sets tell all there is to know about a byte: the holes of
// the backing file (not there), in_flight_ (a fetch is on its way to write it), waiting_ (somebody sleeps until it is
// there). A READ is answered when nothing of its range is in flight any more: the kernel probes the file itself, so
// whether the holes are gone (success) or still there (the reader gets EIO) needs no further word.
#include "daemon/blob/blob_filler.hpp"

#include "base/log.hpp"
#include "daemon/blob/chunk_writer.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sluice::daemon {

namespace {

/// Fetches that fill_all() keeps going at once; more would only queue in the fetcher.
constexpr unsigned kFillLanes = 8;

void split(ByteRange range, std::uint64_t most, std::vector<ByteRange>& into)
{
    for (auto at = range.begin(); at < range.end(); at += most) {
        into.push_back({at, std::min(at + most, range.end())});
    }
}

} // namespace

BlobFiller::BlobFiller(
    FillServices& services,
    const FillPolicy& policy,
    std::shared_ptr<BlobTree> tree,
    std::shared_ptr<protocol::ObjectHandle> handle
)
    : services_{services}
    , policy_{policy}
    , tree_{std::move(tree)}
    , handle_{std::move(handle)}
    , holes_{handle_, tree_->blob().erofs_size}
    , planner_{policy.read, tree_->blob().erofs_size}
    , timer_{services.loop, [this] { answer_overdue(); }, "reads: deadline"}
    , fetches_{services.loop}
{
    tree_->watch(this, [this](ByteRange range) { holes_.written(range); });
}

BlobFiller::~BlobFiller()
{
    tree_->unwatch(this);
    fetches_.cancel_all();
}

void BlobFiller::read(ByteRange wanted, protocol::PendingRead pending, bool found_hole)
{
    ++services_.counters.reads;
    // The kernel may ask beyond the end; there is nothing to be had there, and an answer without data is an error
    // there.
    const auto range = wanted.align_out(kBlockSize).intersect({0, blob().erofs_size});
    auto missing = holes_.missing(range);
    if (missing && missing->empty() && found_hole) {
        missing = holes_.look_again(range); // it came in just now, most likely; but he has seen a hole
    }
    if (!missing || range.empty() || failed_lately(*missing)) {
        ++services_.counters.reads_failed;
        if (!missing) {
            note(range, missing.error());
        }
        return; // ~PendingRead answers
    }
    const auto deadline = Deadline::after(policy_.read_deadline);
    const auto plan = planner_.plan(range);
    // What is being written may look as if it were there: the file is believed about nothing that is in flight.
    if (missing->empty() && !in_flight_.overlaps(range)) {
        ++services_.counters.reads_already_there;
        pending.complete();
    } else {
        waiting_.push_back({range, std::move(pending), deadline});
        arm_timer();
        start_fetches(plan.demand, deadline);
    }
    start_fetches(plan.readahead, {deadline, fetcher::Urgency::kReadahead});
    answer_settled(range); // a plan that leaves part of the range out must not leave its reader asleep
}

void BlobFiller::warm_up()
{
    struct Top {
        static Task<void> load(std::shared_ptr<BlobTree> tree, Deadline deadline)
        {
            const ByteRange first{0, kBlockSize};
            (void)co_await tree->prepare(first, deadline); // a failure shows again, and is told, at the first READ
        }
    };

    if (blob().erofs_size >= kBlockSize) {
        fetches_.spawn(Top::load(tree_, Deadline::after(policy_.read_deadline)));
    }
}

bool BlobFiller::failed_lately(const std::vector<ByteRange>& missing)
{
    const auto now = SteadyClock::now();
    std::erase_if(failures_, [now](const Failure& f) { return f.until <= now; });
    return std::ranges::any_of(failures_, [&missing](const Failure& f) {
        return std::ranges::any_of(missing, [&f](ByteRange hole) { return f.range.overlaps(hole); });
    });
}

void BlobFiller::start_fetches(const std::vector<ByteRange>& ranges, fetcher::FetchTerms terms)
{
    struct Run {
        static Task<void> it(BlobFiller& self, ByteRange range, fetcher::FetchTerms terms)
        {
            (void)co_await self.run_fetch(range, terms);
        }
    };

    for (const auto& range : ranges) {
        for (const auto& idle : in_flight_.outside(range.intersect({0, blob().erofs_size}))) {
            const auto missing = holes_.missing(idle);
            if (!missing) {
                continue; // told by the probe of the read itself
            }
            for (const auto& hole : *missing) {
                in_flight_.add(hole);
                fetches_.spawn(Run::it(*this, hole, terms));
            }
        }
    }
}

Task<Result<void>> BlobFiller::run_fetch(ByteRange range, fetcher::FetchTerms terms)
{
    auto outcome = co_await fetch_once(range, terms);
    // Who joined this fetch later may wait longer than it was meant to take.
    while (!outcome && outcome.error().kind() == ErrorKind::kTimeout) {
        const auto later = longest_wait(range, terms.deadline);
        if (!later) {
            break;
        }
        terms = fetcher::FetchTerms{*later};
        outcome = co_await fetch_once(range, terms);
    }
    // Bytes that do not match may have been hurt on the way: they, and no others, get one more chance, and no more.
    if (!outcome && outcome.error().kind() == ErrorKind::kCorrupt && !terms.deadline.passed()) {
        log::warning("blob {}: {}; fetching it once more", blob().digest.to_string(), outcome.error().text());
        outcome = co_await fetch_once(range, terms);
    }
    if (!outcome) { // else all has landed, and what is in flight there by now is another fetch's
        for (const auto& rest : in_flight_.inside(range)) {
            gave_up(rest, outcome.error());
        }
    }
    co_return outcome;
}

std::optional<Deadline> BlobFiller::longest_wait(ByteRange range, Deadline beyond) const
{
    std::optional<Deadline> longest;
    for (const auto& waiting : waiting_) { // in the order of their deadlines
        if (waiting.wanted.overlaps(range) && waiting.deadline.when() > beyond.when()) {
            longest = waiting.deadline;
        }
    }
    return longest;
}

Task<Result<void>> BlobFiller::fetch_once(ByteRange range, fetcher::FetchTerms terms)
{
    Result<void> outcome = fail(ErrorKind::kNotFound, "no repository is known to hold this blob");
    const auto repositories = blob().repositories;
    for (const auto& repository : repositories) {
        outcome = {};
        for (const auto& rest : in_flight_.inside(range)) {
            auto fetched = co_await fetch_from(repository, rest, terms);
            if (fetched) {
                continue;
            }
            outcome = fetched;
            if (fetched.error().kind() != ErrorKind::kCorrupt) {
                break; // bytes that do not match say nothing of the others
            }
        }
        if (outcome || outcome.error().kind() == ErrorKind::kNoSpace) {
            break; // another repository cannot help against a full disk
        }
    }
    co_return outcome;
}

Task<Result<void>> BlobFiller::fetch_from(std::string repository, ByteRange range, fetcher::FetchTerms terms)
{
    auto prepared = co_await tree_->prepare(range, terms.deadline);
    if (!prepared) {
        co_return prepared;
    }
    auto expected = tree_->expected(range);
    if (!expected) {
        co_return fail(expected.error());
    }
    ++services_.counters.fetches;
    const auto writer =
        std::make_shared<ChunkWriter>(services_, handle_, range, std::move(*expected), [this](ByteRange written) {
            landed(written);
        });
    const fetcher::BlobLocation location{repository, blob().digest, blob().blob_size};
    auto fetched = co_await services_.source.fetch(location, range, *writer, terms);
    auto written = co_await writer->finish();
    if (!written) {
        co_return fail(written.error(), fmt::format("from {}", repository));
    }
    if (fetched && !writer->complete()) {
        co_return fail(ErrorKind::kInternal, fmt::format("from {}: the fetch ended early", repository));
    }
    co_return fetched;
}

void BlobFiller::note(ByteRange range, const Error& why)
{
    // A registry that is down fails every read in the same way: said once, it is enough.
    if (!last_error_ || last_error_->text() != why.text()) {
        log::warning("blob {}: bytes {}: {}", blob().digest.to_string(), range.to_string(), why.text());
    }
    last_error_ = why;
}

void BlobFiller::landed(ByteRange range)
{
    in_flight_.remove(range);
    holes_.written(range);
    tree_->written(this, range);
    answer_settled(range);
}

void BlobFiller::gave_up(ByteRange range, const Error& why)
{
    in_flight_.remove(range);
    ++services_.counters.fetch_failures;
    note(range, why);
    const auto until = SteadyClock::now() + policy_.failure_memory;
    for (auto& waiting : waiting_) {
        if (waiting.wanted.overlaps(range)) {
            waiting.failed = true;
            failures_.push_back({waiting.wanted.intersect(range), until});
        }
    }
    answer_settled(range);
}

void BlobFiller::answer_settled(ByteRange touched)
{
    for (auto it = waiting_.begin(); it != waiting_.end();) {
        if (!it->wanted.overlaps(touched) || in_flight_.overlaps(it->wanted)) {
            ++it;
            continue;
        }
        services_.counters.reads_failed += it->failed ? 1U : 0U;
        it->pending.complete();
        it = waiting_.erase(it);
    }
}

void BlobFiller::answer_overdue()
{
    while (!waiting_.empty() && waiting_.front().deadline.passed()) {
        ++services_.counters.deadline_misses;
        ++services_.counters.reads_failed;
        const auto wanted = waiting_.front().wanted;
        for (const auto& late : in_flight_.inside(wanted)) {
            failures_.push_back({late, SteadyClock::now() + policy_.failure_memory});
        }
        note(wanted, Error{ErrorKind::kTimeout, "not all of it was there before the deadline"});
        waiting_.pop_front(); // ~PendingRead answers, unfilled
    }
    arm_timer();
}

void BlobFiller::arm_timer()
{
    if (!waiting_.empty()) {
        // Firing a little late keeps passed() true when it is asked.
        timer_.arm_at(waiting_.front().deadline.when() + milliseconds{1});
    }
}

Task<Result<void>> BlobFiller::fill_all()
{
    struct Job {
        std::vector<ByteRange> pieces;
        std::size_t next = 0;
        unsigned lanes = 0;
        Result<void> outcome;
    };

    struct Lane {
        static Task<void> run(BlobFiller& self, std::shared_ptr<Job> job, OneShot<Result<void>>::Setter done)
        {
            while (job->outcome && job->next < job->pieces.size()) {
                const auto piece = job->pieces[job->next++];
                for (const auto& idle : self.in_flight_.outside(piece)) {
                    self.in_flight_.add(idle);
                    const auto deadline = Deadline::after(self.policy_.read_deadline);
                    const fetcher::FetchTerms terms{deadline, fetcher::Urgency::kReadahead}; // readers go first
                    auto filled = co_await self.run_fetch(idle, terms);
                    if (!filled) {
                        job->outcome = filled;
                        break;
                    }
                }
            }
            if (--job->lanes == 0) {
                done.set(job->outcome);
            }
        }
    };

    // The whole file at once is for a worker to look at.
    auto look = [handle = handle_, all = ByteRange{0, blob().erofs_size}] { return handle->missing(all); };
    const auto missing = co_await services_.workers.run(services_.loop, std::move(look));
    if (!missing) {
        co_return fail(missing.error());
    }
    const auto job = std::make_shared<Job>();
    for (const auto& hole : *missing) {
        split(hole, policy_.read.max_request, job->pieces);
    }
    job->lanes = kFillLanes;
    const OneShot<Result<void>> done{services_.loop};
    for (unsigned i = 0; i < kFillLanes; ++i) {
        fetches_.spawn(Lane::run(*this, job, done.setter()));
    }
    co_return co_await done;
}

Result<std::uint64_t> bytes_present(const protocol::ObjectHandle& handle, std::uint64_t size)
{
    const auto missing = handle.missing({0, size});
    if (!missing) {
        return fail(missing.error());
    }
    auto present = size;
    for (const auto& hole : *missing) {
        present -= std::min(hole.size(), present); // the last block counts as whole
    }
    return present;
}

} // namespace sluice::daemon
