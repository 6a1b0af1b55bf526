// SPDX-License-Identifier: Apache-2.0
//
// The path of one READ, from the probe to the answer. Three things tell all there is to know about a byte: presence_
// (is it in the file?), in_flight_ (a fetch is on its way to write it), reads_ and jobs_ (who waits until it is there).
// Whoever waits is answered when nothing of the range is in flight any more.
#include "daemon/blob/blob_filler.hpp"

#include "base/log.hpp"
#include "base/one_shot.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace sluice::daemon {

BlobFiller::BlobFiller(Parts parts)
    : services_{parts.services}
    , policy_{parts.policy}
    , blob_{parts.blob}
    , tree_{parts.tree}
    , presence_{parts.presence}
    , file_{std::move(parts.file)}
    , fetch_{
          services_,
          blob_,
          tree_,
          file_,
          [this](ByteRange range, std::uint64_t generation) { landed(range, generation); },
          [this](ByteRange range, Urgency begun) { return urgency_of(range, begun); }}
    , planner_{policy_.read, blob_.erofs_size}
    , timer_{services_.loop, [this] { answer_overdue(); }, "reads: deadline"}
    , fetches_{services_.loop}
{}

BlobFiller::~BlobFiller()
{
    fetches_.cancel_all();
    for (auto* queue : {&reads_, &jobs_}) {
        while (!queue->empty()) {
            answer(*queue, queue->begin(), fail(ErrorKind::kCancelled, "the blob was closed"));
        }
    }
}

void BlobFiller::read(const void* reader, ByteRange wanted, bool found_hole, Done done, TimePoint arrival)
{
    ++services_.counters.reads;
    // A kernel may ask beyond the end; there is nothing to be had there, and an answer without data is an error there.
    const auto range = wanted.align_out(kBlockSize).intersect({0, blob_.erofs_size});
    if (range.empty()) {
        ++services_.counters.reads_failed;
        done(fail(ErrorKind::kNotFound, "the READ lies beyond the end of the blob"));
        return;
    }
    const auto number = ++last_number_;
    const auto least = std::min(kLeastPatience, policy_.read_deadline);
    const Deadline deadline{std::max(arrival + policy_.read_deadline, SteadyClock::now() + least)};
    // Mostly the last place: only READs that a predecessor left come with older deadlines.
    auto behind = reads_.end();
    while (behind != reads_.begin() && std::prev(behind)->deadline.when() > deadline.when()) {
        --behind;
    }
    const auto waiting = reads_.insert(behind, {reader, number, range, std::move(done), deadline, true, {}});
    arm_timer();
    const auto missing = presence_.missing(range);
    const bool doubtful = missing && missing->empty() && found_hole; // it came in just now, most likely
    if (missing && (!doubtful || in_flight_.overlaps(range))) {
        go(waiting, *missing);
    } else {
        fetches_.spawn(look_and_go(number, range, found_hole));
    }
}

Task<void> BlobFiller::look_and_go(std::uint64_t number, ByteRange range, bool found_hole)
{
    if (found_hole) {
        presence_.invalidate(range);
    }
    std::optional<std::vector<ByteRange>> missing;
    while (!missing) {
        const auto looked = co_await presence_.look(range);
        const auto waiting = std::ranges::find(reads_, number, &Waiting::number);
        if (waiting == reads_.end()) {
            co_return; // answered meanwhile: dropped, or its deadline has passed
        }
        if (!looked) {
            note(range, looked.error());
            answer(reads_, waiting, fail(looked.error()));
            co_return;
        }
        missing = presence_.missing(range); // nothing, if somebody doubts it again already
    }
    go(std::ranges::find(reads_, number, &Waiting::number), *missing);
}

void BlobFiller::go(Queue::iterator waiting, const std::vector<ByteRange>& missing)
{
    const auto range = waiting->wanted;
    if (const auto* failed = failed_lately(missing)) {
        answer(reads_, waiting, fail(*failed));
        return;
    }
    const auto deadline = waiting->deadline;
    const auto plan = planner_.plan(range);
    // What is being written may look as if it were there: the file is believed about nothing that is in flight.
    if (missing.empty() && !in_flight_.overlaps(range)) {
        ++services_.counters.reads_already_there;
        answer(reads_, waiting, {});
    } else {
        for (const auto& planned : plan.demand) {
            start_demand(planned, range, missing, deadline);
        }
        waiting->looking = false;
    }
    start_fetches(plan.readahead, {deadline, Urgency::kReadahead});
    answer_settled(range); // a plan that leaves part of the range out must not leave its reader asleep
}

void BlobFiller::answer(Queue& queue, Queue::iterator waiting, Result<void> outcome)
{
    services_.counters.reads_failed += !outcome && &queue == &reads_ ? 1U : 0U;
    auto done = std::move(waiting->done);
    queue.erase(waiting);
    done(std::move(outcome));
}

void BlobFiller::drop(const void* reader)
{
    for (auto it = reads_.begin(); it != reads_.end();) {
        const auto next = std::next(it);
        if (it->reader == reader) {
            auto done = std::move(it->done);
            reads_.erase(it);
            done(fail(ErrorKind::kCancelled, "its reader has closed the blob"));
        }
        it = next;
    }
}

void BlobFiller::warm_up()
{
    struct Top {
        static Task<void> load(BlobTree& tree, Deadline deadline)
        {
            const ByteRange first{0, kBlockSize};
            (void)co_await tree.prepare(first, deadline); // a failure shows again, and is told, at the first READ
        }
    };

    if (blob_.erofs_size >= kBlockSize) {
        fetches_.spawn(Top::load(tree_, Deadline::after(policy_.read_deadline)));
    }
}

const Error* BlobFiller::failed_lately(const std::vector<ByteRange>& missing)
{
    const auto now = SteadyClock::now();
    std::erase_if(failures_, [now](const Failure& f) { return f.until <= now; });
    const auto found = std::ranges::find_if(failures_, [&missing](const Failure& f) {
        return std::ranges::any_of(missing, [&f](ByteRange hole) { return f.range.overlaps(hole); });
    });
    return found == failures_.end() ? nullptr : &found->why;
}

void BlobFiller::start_demand(
    ByteRange planned, ByteRange wanted, const std::vector<ByteRange>& missing, Deadline deadline
)
{
    const auto range = planned.intersect({0, blob_.erofs_size});
    if (const auto known = presence_.missing(range)) {
        start_known(range, *known, deadline);
    } else { // what the reader waits for goes at once; what is fetched along with it has to be looked at first
        start_known(range.intersect(wanted), missing, deadline);
        fetches_.spawn(look_and_start(range, {deadline, Urgency::kReadahead}));
    }
}

void BlobFiller::start_fetches(const std::vector<ByteRange>& ranges, fetcher::FetchTerms terms)
{
    for (const auto& planned : ranges) {
        const auto range = planned.intersect({0, blob_.erofs_size});
        if (const auto missing = presence_.missing(range)) {
            start_known(range, *missing, terms);
        } else {
            fetches_.spawn(look_and_start(range, terms));
        }
    }
}

Task<void> BlobFiller::look_and_start(ByteRange range, fetcher::FetchTerms terms)
{
    const auto looked = co_await presence_.look(range);
    const auto missing = presence_.missing(range);
    if (looked && missing) {
        start_known(range, *missing, terms);
    } // else told by the READ that comes for it
}

void BlobFiller::start_known(ByteRange range, const std::vector<ByteRange>& missing, fetcher::FetchTerms terms)
{
    for (const auto& idle : in_flight_.outside(range)) {
        for (const auto& hole : missing) {
            const auto part = hole.intersect(idle);
            if (!part.empty()) {
                in_flight_.add(part);
                fetches_.spawn(run_fetch(part, terms));
            }
        }
    }
}

Urgency BlobFiller::urgency_of(ByteRange range, Urgency otherwise) const
{
    const bool demanded = std::ranges::any_of(reads_, [range](const Waiting& w) { return w.wanted.overlaps(range); });
    return demanded ? Urgency::kDemand : otherwise;
}

void BlobFiller::note(ByteRange range, const Error& why)
{
    // A registry that is down fails every read in the same way: said once, it is enough.
    if (!last_error_ || last_error_->text() != why.text()) {
        log::warning("blob {}: bytes {}: {}", blob_.digest.to_string(), range.to_string(), why.text());
    }
    last_error_ = why;
}

void BlobFiller::landed(ByteRange range, std::uint64_t generation)
{
    in_flight_.remove(range);
    if (generation == file_->generation()) {
        presence_.written(range);
    } else {
        presence_.invalidate(range); // a handle that was attached meanwhile may lack it
    }
    answer_settled(range);
}

void BlobFiller::gave_up(ByteRange range, const Error& why)
{
    in_flight_.remove(range);
    ++services_.counters.fetch_failures;
    note(range, why);
    const auto until = SteadyClock::now() + policy_.failure_memory;
    for (auto* queue : {&reads_, &jobs_}) {
        for (auto& waiting : *queue) {
            if (waiting.wanted.overlaps(range)) {
                waiting.outcome = fail(why);
                failures_.push_back({waiting.wanted.intersect(range), until, why});
            }
        }
    }
    answer_settled(range);
}

void BlobFiller::answer_settled(ByteRange touched)
{
    settle(reads_, touched);
    settle(jobs_, touched);
}

void BlobFiller::settle(Queue& queue, ByteRange touched)
{
    for (auto it = queue.begin(); it != queue.end();) {
        const auto next = std::next(it);
        if (!it->looking && it->wanted.overlaps(touched) && !in_flight_.overlaps(it->wanted)) {
            settle(queue, it);
        }
        it = next;
    }
}

void BlobFiller::settle(Queue& queue, Queue::iterator waiting)
{
    const auto missing = presence_.missing(waiting->wanted);
    if (!missing && waiting->outcome && &queue == &reads_) {
        waiting->looking = true; // a handle was attached meanwhile, and may lack what has landed
        fetches_.spawn(look_and_go(waiting->number, waiting->wanted, false));
        return;
    }
    auto outcome = std::move(waiting->outcome);
    if (outcome && missing && !missing->empty()) {
        outcome = fail(ErrorKind::kInternal, fmt::format("nobody has fetched {}", missing->front().to_string()));
        note(waiting->wanted, outcome.error());
    }
    answer(queue, waiting, std::move(outcome));
}

Task<Result<void>> BlobFiller::fill(ByteRange range, Urgency urgency)
{
    for (;;) {
        auto looked = co_await presence_.look(range);
        if (!looked) {
            co_return looked;
        }
        const auto missing = presence_.missing(range);
        if (!missing) {
            continue; // somebody doubts it again already
        }
        if (missing->empty() && !in_flight_.overlaps(range)) {
            co_return looked;
        }
        const OneShot<Result<void>> settled{services_.loop};
        Done done = [setter = settled.setter()](Result<void> outcome) { setter.set(std::move(outcome)); };
        jobs_.push_back({nullptr, ++last_number_, range, std::move(done), Deadline{TimePoint::max()}, false, {}});
        // Nobody sleeps on background work: it goes on for as long as something comes.
        const auto stall = urgency == Urgency::kBackground ? policy_.read_deadline : milliseconds{0};
        start_known(range, *missing, {Deadline::after(policy_.read_deadline), urgency, stall});
        answer_settled(range);
        auto outcome = co_await settled;
        if (!outcome) {
            co_return outcome;
        }
    }
}

void BlobFiller::answer_overdue()
{
    const Error late{ErrorKind::kTimeout, "not all of it was there before the deadline"};
    while (!reads_.empty() && reads_.front().deadline.passed()) {
        ++services_.counters.deadline_misses;
        const auto wanted = reads_.front().wanted;
        for (const auto& missing : in_flight_.inside(wanted)) {
            failures_.push_back({missing, SteadyClock::now() + policy_.failure_memory, late});
        }
        note(wanted, late);
        answer(reads_, reads_.begin(), fail(late));
    }
    arm_timer();
}

void BlobFiller::arm_timer()
{
    if (!reads_.empty()) {
        // Firing a little late keeps passed() true when it is asked.
        timer_.arm_at(reads_.front().deadline.when() + milliseconds{1});
    }
}

} // namespace sluice::daemon
