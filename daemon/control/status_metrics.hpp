// SPDX-License-Identifier: Apache-2.0
// What the daemon's parts count, by the names that the control API gives it.
#pragma once

#include "daemon/blob/counters.hpp"
#include "daemon/control/metrics.hpp"
#include "fetcher/registry_options.hpp"
#include "protocol/front_end_stats.hpp"
#include "protocol/socket_client.hpp"
#include "protocol/space.hpp"

#include <functional>

namespace sluice::daemon {

/// Group "counters". `counters` outlives `metrics`.
void add_fill_metrics(Metrics& metrics, const Counters& counters);

/// Group "space": of the cache's file system. `space` outlives `metrics`.
void add_space_metrics(Metrics& metrics, const protocol::Space& space);

/// Group "fetcher".
void add_fetch_metrics(Metrics& metrics, std::function<fetcher::FetchCounters()> read);

/// Group "library".
void add_library_metrics(Metrics& metrics, std::function<protocol::SocketStats()> read);

/// Group "device": the front end that mounts are made with.
void add_front_end_metrics(Metrics& metrics, std::function<protocol::FrontEndStats()> read);

} // namespace sluice::daemon
