// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/clock.hpp"
#include "base/task.hpp"
#include "cache/fetch_planner.hpp"
#include "daemon/blob/blob_tree.hpp"
#include "daemon/blob/hole_map.hpp"
#include "protocol/device.hpp"

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::daemon {

struct FillPolicy {
    milliseconds read_deadline{30'000}; ///< a READ is answered this long after it came, whatever has happened
    cache::ReadPolicy read;
    milliseconds failure_memory{1000}; ///< the kernel asks again after a failure: answered at once within this time
};

/// Fills one opened blob: fetch what READs miss (and what they will miss next), prove it, write it, answer.
/// Every byte is fetched by one fetch at a time; later READs of the same range wait for it. Loop thread only.
///
/// Destroying it cancels the fetches and answers the READs; writes that workers have begun end on their own.
class BlobFiller {
public:
    BlobFiller(
        FillServices& services,
        const FillPolicy& policy,
        std::shared_ptr<BlobTree> tree,
        std::shared_ptr<protocol::ObjectHandle> handle
    );
    BlobFiller(const BlobFiller&) = delete;
    BlobFiller& operator=(const BlobFiller&) = delete;
    ~BlobFiller();

    [[nodiscard]] const BlobInfo& blob() const noexcept { return tree_->blob(); }

    /// `found_hole`: see protocol::ReadRequest.
    void read(ByteRange wanted, protocol::PendingRead pending, bool found_hole = true);

    /// Loads the top of the hash tree, so that the first READ need not wait for it.
    void warm_up();

    /// Brings in everything that is missing. Ends with the first failure.
    [[nodiscard]] Task<Result<void>> fill_all();

    /// The backing file; for who asks it something on a worker.
    [[nodiscard]] const std::shared_ptr<protocol::ObjectHandle>& handle() const noexcept { return handle_; }

    [[nodiscard]] std::size_t reads_waiting() const noexcept { return waiting_.size(); }

    [[nodiscard]] std::uint64_t bytes_in_flight() const noexcept { return in_flight_.size(); }

    /// Why a read last failed; nothing when none has.
    [[nodiscard]] const std::optional<Error>& last_error() const noexcept { return last_error_; }

private:
    struct Waiting {
        ByteRange wanted;
        protocol::PendingRead pending;
        Deadline deadline;
        bool failed = false;
    };

    struct Failure {
        ByteRange range; ///< what could not be had, of what somebody wanted
        TimePoint until;
    };

    class Fetch; // one range on its way from the registry to the disk

    [[nodiscard]] bool failed_lately(const std::vector<ByteRange>& missing);
    void note(ByteRange range, const Error& why);
    void start_fetches(const std::vector<ByteRange>& ranges, fetcher::FetchTerms terms);
    Task<Result<void>> run_fetch(ByteRange range, fetcher::FetchTerms terms);
    Task<Result<void>> fetch_once(ByteRange range, fetcher::FetchTerms terms);
    Task<Result<void>> fetch_from(std::string repository, ByteRange range, fetcher::FetchTerms terms);
    [[nodiscard]] std::optional<Deadline> longest_wait(ByteRange range, Deadline beyond) const;
    void landed(ByteRange range);
    void gave_up(ByteRange range, const Error& why);
    void answer_settled(ByteRange touched);
    void answer_overdue();
    void arm_timer();

    FillServices& services_;
    const FillPolicy& policy_;
    std::shared_ptr<BlobTree> tree_;
    std::shared_ptr<protocol::ObjectHandle> handle_;
    HoleMap holes_;
    cache::ReadPlanner planner_;
    RangeSet in_flight_;
    std::list<Waiting> waiting_; ///< in the order of their deadlines
    std::deque<Failure> failures_;
    std::optional<Error> last_error_;
    Timer timer_;
    TaskScope fetches_; // last: its tasks touch all of the above
};

/// How many bytes of a blob of `size` bytes are in its backing file. Asks the file: for workers.
[[nodiscard]] Result<std::uint64_t> bytes_present(const protocol::ObjectHandle& handle, std::uint64_t size);

} // namespace sluice::daemon
