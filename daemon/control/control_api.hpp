// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"
#include "base/single_flight.hpp"
#include "base/worker_pool.hpp"
#include "daemon/config/config.hpp"
#include "daemon/control/control_server.hpp"
#include "daemon/control/metrics.hpp"
#include "daemon/front_end/front_ends.hpp"
#include "daemon/image/image_service.hpp"
#include "protocol/space.hpp"
#include "trust/key_ring.hpp"

#include <cstdint>
#include <string>

namespace sluice::daemon {

/// What the control API tells and does; docs/control-api.md is its contract. Loop thread only.
class ControlApi {
public:
    struct Parts {
        EventLoop& loop;
        WorkerPool& workers;
        const Config& config;
        Counters& counters;
        Catalogue& catalogue;
        ImageService& images;
        Blobs& blobs;
        FrontEnds& front_ends;
        const MountFrontEnd& mount_front_end;
        const trust::KeyRing& keys;
        protocol::Space& space;
        std::uint64_t takeovers; ///< how many daemons before this one have handed on what is mounted
    };

    explicit ControlApi(Parts parts);

    /// The numbers in the status document; the daemon's parts add theirs.
    [[nodiscard]] Metrics& metrics() noexcept { return metrics_; }

    /// Never fails: errors are replies.
    [[nodiscard]] Task<ControlReply> handle(ControlRequest request);

    /// For whoever can connect over TCP: answers `GET /metrics`, and nothing else.
    [[nodiscard]] Task<ControlReply> handle_metrics(ControlRequest request);

private:
    [[nodiscard]] Task<Result<Json>> status();
    [[nodiscard]] Json images() const;
    [[nodiscard]] ControlReply metrics_page() const;
    Task<Result<Json>> blobs();
    Task<Result<Json>> answer(ControlRequest request);

    Parts parts_;
    Metrics metrics_;
    SingleFlight<int, Result<Json>> listing_blobs_; ///< however many ask, each file is looked at by one at a time
    TimePoint started_ = SteadyClock::now();
};

/// The HTTP status that stands for a kind of error.
[[nodiscard]] unsigned http_status(ErrorKind kind) noexcept;

} // namespace sluice::daemon
