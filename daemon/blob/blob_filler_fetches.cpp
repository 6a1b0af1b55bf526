// SPDX-License-Identifier: Apache-2.0
//
// One fetch for all who wait for its bytes, and what becomes of it when it fails.
#include "base/log.hpp"
#include "base/one_shot.hpp"
#include "daemon/blob/blob_filler.hpp"
#include "daemon/blob/culler.hpp"
#include "fetcher/deadline_task.hpp"

#include <iterator>
#include <utility>

namespace sluice::daemon {

namespace {

Deadline later(Deadline a, Deadline b) noexcept
{
    return a.when() < b.when() ? b : a;
}

} // namespace

Task<void> BlobFiller::run_fetch(ByteRange range, fetcher::FetchTerms terms)
{
    fetcher::FetchNote told;
    terms.note = &told;
    auto outcome = co_await fetch_rest(range, terms);
    // Whoever joined this fetch later may wait longer than it was meant to take.
    while (!outcome) {
        const auto again = next_chance(outcome.error(), terms);
        if (!again || !longest_wait(range, later(*again, terms.deadline))) {
            break;
        }
        if (!again->passed()) {
            refuse(range, *again, outcome.error());
            co_await sleep_for(services_.loop, again->remaining() + milliseconds{1});
        }
        const auto longest = longest_wait(range, later(*again, terms.deadline));
        if (!longest) {
            break; // they have gone
        }
        told = {};
        terms = fetcher::FetchTerms{*longest};
        terms.note = &told;
        outcome = co_await fetch_rest(range, terms);
    }
    if (!outcome && lacks_room(outcome.error()) && services_.culler != nullptr && !terms.deadline.passed()) {
        auto making = services_.culler->make_room();
        std::string what = "making room in the cache";
        const auto made =
            co_await fetcher::with_deadline(services_.loop, std::move(making), terms.deadline, std::move(what));
        if (made) {
            told = {};
            outcome = co_await fetch_rest(range, terms);
        }
    }
    // Bytes that do not match may have been hurt on the way: each repository gets one more chance for them, and for no
    // others. The mirrors know whom to ask next.
    auto rounds = 2 * blob_.repositories.size();
    while (!outcome && outcome.error().kind() == ErrorKind::kCorrupt && !terms.deadline.passed() && --rounds > 0) {
        log::warning("blob {}: {}; fetching it once more", blob_.digest.to_string(), outcome.error().text());
        auto again = co_await fetch_rest(range, terms);
        if (again || again.error().kind() != ErrorKind::kCorrupt) {
            outcome = std::move(again);
        }
    }
    if (!outcome) { // else all has landed, and what is in flight there by now is another fetch's
        for (const auto& rest : in_flight_.inside(range)) {
            gave_up(rest, outcome.error());
        }
    }
}

std::optional<Deadline> BlobFiller::longest_wait(ByteRange range, Deadline beyond) const
{
    std::optional<Deadline> longest;
    for (const auto& waiting : reads_) { // in the order of their deadlines
        if (waiting.wanted.overlaps(range) && waiting.deadline.when() > beyond.when()) {
            longest = waiting.deadline;
        }
    }
    return longest;
}

void BlobFiller::refuse(ByteRange range, Deadline until, const Error& why)
{
    note(range, why);
    for (auto it = reads_.begin(); it != reads_.end();) { // in the order of their deadlines
        const auto next = std::next(it);
        if (!it->looking && it->wanted.overlaps(range) && it->deadline.when() <= until.when()) {
            answer(reads_, it, fail(why));
        }
        it = next;
    }
}

Task<Result<void>> BlobFiller::fetch_rest(ByteRange range, fetcher::FetchTerms terms)
{
    Result<void> outcome;
    for (const auto& rest : in_flight_.inside(range)) {
        auto fetched = co_await fetch_.fetch(rest, terms);
        if (fetched) {
            continue;
        }
        outcome = std::move(fetched);
        if (outcome.error().kind() != ErrorKind::kCorrupt) {
            break; // bytes that do not match say nothing of the others
        }
    }
    co_return outcome;
}

} // namespace sluice::daemon
