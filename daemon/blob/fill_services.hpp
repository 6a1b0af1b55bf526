// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/event_loop.hpp"
#include "base/worker_pool.hpp"
#include "cache/fetch_planner.hpp"
#include "cache/tree_store.hpp"
#include "daemon/blob/counters.hpp"
#include "fetcher/mirror_set.hpp"
#include "protocol/space.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace sluice::daemon {

class CacheSweep;
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
    CacheSweep* sweep = nullptr; ///< looks at each file before it is opened; null: all are in order
};

/// Whether `why` is that `deadline` came too near, and no refusal: who has more time may try again then.
[[nodiscard]] inline bool ended_by(const Error& why, const Deadline& deadline)
{
    constexpr milliseconds kLastMoments{150}; // the last pause between tries is not taken when less is left than this
    return why.kind() == ErrorKind::kTimeout && deadline.remaining() < kLastMoments;
}

struct FillPolicy {
    milliseconds read_deadline{30'000}; ///< a READ is answered this long after it came, whatever has happened
    cache::ReadPolicy read;
    milliseconds failure_memory{1000}; ///< the kernel asks again after a failure: answered at once within this time
};

} // namespace sluice::daemon
