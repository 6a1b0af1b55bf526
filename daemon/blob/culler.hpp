// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/single_flight.hpp"
#include "base/task_scope.hpp"
#include "base/worker_pool.hpp"
#include "cache/tree_store.hpp"
#include "daemon/blob/cache_files.hpp"
#include "daemon/blob/cache_index.hpp"
#include "daemon/blob/counters.hpp"
#include "daemon/blob/removals.hpp"
#include "protocol/space.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace sluice::daemon {

/// What a search for room has to find; what is found first does.
struct RoomNeeded {
    std::uint64_t bytes = 0;
    std::uint64_t files = 0;

    [[nodiscard]] bool none() const noexcept { return bytes == 0 && files == 0; }
};

/// What the limits want to have removed. Nothing before free space is below bcull or fcull, or `kept` above `quota` (0:
/// there is none); then so much that brun and frun are reached, and seven eighths of the quota. Pure.
[[nodiscard]] RoomNeeded
room_needed(const std::optional<protocol::Space::Figures>& space, std::uint64_t kept, std::uint64_t quota) noexcept;

/// Makes room on the disk: removes blobs' files, those first that are wanted least (see CacheIndex). A blob that
/// somebody uses is never touched: not one that a Blob object stands for, and not one that the kernel has open.
/// Whoever opens a blob while it is being removed waits (see Removals). Loop thread only.
class Culler {
public:
    struct Parts {
        EventLoop& loop;
        WorkerPool& workers;
        CacheIndex& index;
        Removals& removals;
        protocol::Space& space;
        const cache::TreeStore* trees; ///< null: none are kept
        Counters& counters;
        CacheFiles files;
        std::uint64_t quota = 0;
        /// Of blobs that were used before this start; of others the files tell.
        std::map<Digest, cache::WallTime> last_uses{};
        /// Removes a backing file, on a thread that is there for nothing else. code() EBUSY: somebody uses it.
        std::function<Result<void>(const std::filesystem::path&)> remove;
        std::function<void(const Digest&)> removed{}; ///< told of each blob that is gone; may be none
    };

    struct Request {
        std::optional<std::uint64_t> keep_at_most{}; ///< nothing: what the limits want
        std::optional<std::vector<Digest>> only{};   ///< all that can go of these, whatever the limits say
        bool dry_run = false;
    };

    struct Report {
        std::uint64_t files = 0; ///< blobs
        std::uint64_t bytes = 0;
        std::uint64_t busy = 0; ///< that could not be removed: a mount uses them
        std::uint64_t kept = 0; ///< bytes that all of the cache takes now
    };

    explicit Culler(Parts parts);
    Culler(const Culler&) = delete;
    Culler& operator=(const Culler&) = delete;
    ~Culler();

    /// From now on looks after the limits by itself.
    void start();

    /// Nobody uses some blob any more: there may be more to remove now.
    void note_end_of_use();

    /// For one who has been refused for want of room. An error when there is none to be made.
    [[nodiscard]] Task<Result<void>> make_room();

    [[nodiscard]] Task<Result<Report>> cull(Request request);

    /// Until the index knows the sizes of all that is in the cache; what the rest takes.
    [[nodiscard]] Task<Result<std::uint64_t>> measure();

private:
    struct Removed {
        Result<void> outcome;
        std::uint64_t bytes = 0;
    };

    void on_space(protocol::SpaceLevel level);
    void check_soon();
    Task<void> check();
    [[nodiscard]] Task<Result<void>> find_all();
    [[nodiscard]] Task<Result<void>> relieve(bool is_urgent);
    [[nodiscard]] Task<Result<Report>> cull_now(Request request);
    [[nodiscard]] Task<Report> remove_some(RoomNeeded needed);
    [[nodiscard]] Task<Report> remove_these(std::vector<Digest> identities);
    [[nodiscard]] Report what_would_go(RoomNeeded needed, const std::optional<std::vector<Digest>>& only) const;
    /// An error says that there is no use in trying others.
    [[nodiscard]] Task<Result<void>> remove_one(Digest identity, Report& report);
    [[nodiscard]] Removed remove_on_disk(const Digest& identity) const; ///< on the thread below

    Parts parts_;
    bool is_all_found_ = false;
    bool is_checking_ = false;
    bool is_to_check_again_ = false;
    bool has_told_of_none_ = false;
    bool is_wanting_ = false; ///< less could be removed than the limits want
    std::uint64_t written_at_check_ = 0;
    std::uint64_t culls_begun_ = 0;
    TimePoint checked_{};
    std::shared_ptr<Culler*> self_; ///< what calls from workers hold weakly
    Timer again_;
    SingleFlight<int, Result<void>> finding_;
    SingleFlight<bool, Result<void>> relieving_; ///< by urgency
    SingleFlight<std::uint64_t, Result<Report>> culling_;
    WorkerPool thread_{1, "cull"};
    TaskScope tasks_; // last: its tasks touch all of the above
};

} // namespace sluice::daemon
