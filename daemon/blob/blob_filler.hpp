// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/clock.hpp"
#include "base/function.hpp"
#include "base/task.hpp"
#include "cache/fetch_planner.hpp"
#include "daemon/blob/backing_file.hpp"
#include "daemon/blob/blob_info.hpp"
#include "daemon/blob/blob_tree.hpp"
#include "daemon/blob/fill_services.hpp"
#include "daemon/blob/presence.hpp"
#include "daemon/blob/proved_fetch.hpp"

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::daemon {

/// Fills one blob: fetches what its readers miss, and what they will miss next; has it proved and written; answers.
/// Every byte is fetched by one fetch at a time, and whoever wants it meanwhile waits for that one. Loop thread only.
///
/// Destroying it cancels the fetches and answers the readers; writes that workers have begun end on their own.
class BlobFiller {
public:
    using Done = UniqueFunction<void(Result<void>)>;

    /// The parts of one blob; all outlive the filler.
    struct Parts {
        FillServices& services;
        const FillPolicy& policy;
        const BlobInfo& blob;
        BlobTree& tree;
        Presence& presence;
        std::shared_ptr<BackingFile> file;
    };

    explicit BlobFiller(Parts parts);
    BlobFiller(const BlobFiller&) = delete;
    BlobFiller& operator=(const BlobFiller&) = delete;
    ~BlobFiller();

    /// `done` is called exactly once, from within or later, but before the read deadline has passed: with success when
    /// all of `wanted` inside the blob is in the file. `reader` is who asks, for drop(). `found_hole`, `arrival`:
    /// see protocol::ReadRequest. Who has waited for nearly all of the time already still gets `kLeastPatience`, so
    /// that what is there is found.
    void read(const void* reader, ByteRange wanted, bool found_hole, Done done, TimePoint arrival = SteadyClock::now());

    static constexpr milliseconds kLeastPatience{1000};

    /// The READs of `reader` that wait are answered with kCancelled; what is being fetched for them goes on.
    void drop(const void* reader);

    /// Loads the top of the hash tree, so that the first READ need not wait for it.
    void warm_up();

    /// Until all of `range` (inside the blob) is in the file.
    [[nodiscard]] Task<Result<void>> fill(ByteRange range, Urgency urgency);

    [[nodiscard]] std::size_t reads_waiting() const noexcept { return reads_.size(); }

    /// Of the READs that wait; nothing when none does.
    [[nodiscard]] std::optional<Deadline> first_deadline() const
    {
        return reads_.empty() ? std::nullopt : std::optional{reads_.front().deadline};
    }

    [[nodiscard]] std::uint64_t bytes_in_flight() const noexcept { return in_flight_.size(); }

    /// Why a read last failed; nothing when none has.
    [[nodiscard]] const std::optional<Error>& last_error() const noexcept { return last_error_; }

private:
    struct Waiting {
        const void* reader = nullptr;
        std::uint64_t number = 0;
        ByteRange wanted;
        Done done;
        Deadline deadline;
        bool looking = true; ///< until it is known what is missing
        Result<void> outcome;
    };

    using Queue = std::list<Waiting>;

    struct Failure {
        ByteRange range; ///< what could not be had, of what somebody wanted
        TimePoint until;
        Error why;
    };

    Task<void> look_and_go(std::uint64_t number, ByteRange range, bool found_hole);
    void go(Queue::iterator waiting, const std::vector<ByteRange>& missing);
    void answer(Queue& queue, Queue::iterator waiting, Result<void> outcome);
    [[nodiscard]] const Error* failed_lately(const std::vector<ByteRange>& missing);
    void note(ByteRange range, const Error& why);

    void start_demand(ByteRange planned, ByteRange wanted, const std::vector<ByteRange>& missing, Deadline deadline);
    void start_fetches(const std::vector<ByteRange>& ranges, fetcher::FetchTerms terms);
    void start_known(ByteRange range, const std::vector<ByteRange>& missing, fetcher::FetchTerms terms);
    Task<void> look_and_start(ByteRange range, fetcher::FetchTerms terms);
    Task<void> run_fetch(ByteRange range, fetcher::FetchTerms terms);
    Task<Result<void>> fetch_rest(ByteRange range, fetcher::FetchTerms terms);
    [[nodiscard]] std::optional<Deadline> longest_wait(ByteRange range, Deadline beyond) const;
    /// Tells the READs that wait for some of `range`, and not beyond `until`: asking before then is of no use.
    void refuse(ByteRange range, Deadline until, const Error& why);
    [[nodiscard]] Urgency urgency_of(ByteRange range, Urgency otherwise) const;

    void landed(ByteRange range, std::uint64_t generation);
    void gave_up(ByteRange range, const Error& why);
    void answer_settled(ByteRange touched);
    void settle(Queue& queue, ByteRange touched);
    void settle(Queue& queue, Queue::iterator waiting);
    void answer_overdue();
    void arm_timer();

    FillServices& services_;
    const FillPolicy& policy_;
    const BlobInfo& blob_;
    BlobTree& tree_;
    Presence& presence_;
    std::shared_ptr<BackingFile> file_;
    ProvedFetch fetch_;
    cache::ReadPlanner planner_;
    RangeSet in_flight_;
    Queue reads_; ///< READs, in the order of their deadlines
    Queue jobs_;  ///< background work, which has none
    std::uint64_t last_number_ = 0;
    std::deque<Failure> failures_;
    std::optional<Error> last_error_;
    Timer timer_;
    TaskScope fetches_; // last: its tasks touch all of the above
};

} // namespace sluice::daemon
