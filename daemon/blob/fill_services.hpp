// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "base/event_loop.hpp"
#include "base/worker_pool.hpp"
#include "cache/fetch_planner.hpp"
#include "cache/tree_store.hpp"
#include "daemon/blob/counters.hpp"
#include "fetcher/blob_source.hpp"
#include "fetcher/mirror_set.hpp"
#include "protocol/space.hpp"

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace sluice::daemon {

class CacheSweep;
class Culler;
class Removals;
class TreeBudget;

/// Where blobs' backing files lie: in the layout of cachefiles, whichever front end serves.
struct FilePlace {
    std::filesystem::path cache_dir;
    std::filesystem::path private_dir; ///< where new files are made; on the same file system
    std::string volume;
};

/// What every blob works with; owned by the composition root, which outlives all of it.
struct FillServices {
    EventLoop& loop;
    WorkerPool& workers;
    fetcher::MirrorSet& mirrors; ///< all that is fetched comes through it
    cache::TreeStore* trees;     ///< keeps hash blocks on disk; null: not kept
    Counters& counters;
    TreeBudget& tree_budget;
    std::shared_ptr<protocol::Space> space{}; ///< null: writers are not limited
    FilePlace place{};
    CacheSweep* sweep = nullptr;  ///< looks at each file before it is opened; null: all are in order
    Removals* removals = nullptr; ///< knows which files are being removed; null: none ever is
    Culler* culler = nullptr;     ///< makes room for whoever is refused; null: nobody does
};

/// Whether it failed for want of room in the cache, and might work when some was made.
[[nodiscard]] inline bool lacks_room(const Error& why) noexcept
{
    return why.kind() == ErrorKind::kNoSpace && (why.code() == ENOSPC || why.code() == ENOBUFS || why.code() == EDQUOT);
}

/// When there is some use in asking again, for who has more time than `terms` gave, where `why` is that their deadline
/// came too near; nothing: it is something else. Has to be asked as soon as the fetch has ended.
[[nodiscard]] inline std::optional<Deadline> next_chance(const Error& why, const fetcher::FetchTerms& terms)
{
    // The fetcher gives up when less is left than two of its first pauses; some more, as we may be told late.
    constexpr auto kLastMoments = 2 * BackoffPolicy{}.first + milliseconds{300};
    const auto wish = terms.note == nullptr ? std::nullopt : terms.note->retry_after;
    const auto pause = wish.value_or(milliseconds{0});
    const auto left = terms.deadline.remaining();
    if (why.kind() != ErrorKind::kTimeout || (left >= kLastMoments && left > pause)) {
        return std::nullopt;
    }
    return Deadline::after(pause);
}

struct FillPolicy {
    milliseconds read_deadline{30'000}; ///< a READ is answered this long after it came, whatever has happened
    cache::ReadPolicy read;
    milliseconds failure_memory{1000}; ///< the kernel asks again after a failure: answered at once within this time
};

} // namespace sluice::daemon
