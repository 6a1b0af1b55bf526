// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/aligned_buffer.hpp"
#include "base/fd_store.hpp"
#include "base/watchdog.hpp"
#include "base/worker_pool.hpp"
#include "cache/cache_dir.hpp"
#include "cache/tree_store.hpp"
#include "daemon/blob/blobs.hpp"
#include "daemon/blob/cache_index.hpp"
#include "daemon/blob/cache_sweep.hpp"
#include "daemon/blob/culler.hpp"
#include "daemon/blob/removals.hpp"
#include "daemon/blob/tree_budget.hpp"
#include "daemon/clean_stop.hpp"
#include "daemon/config/config.hpp"
#include "daemon/control/control_api.hpp"
#include "daemon/control/control_server.hpp"
#include "daemon/front_end/front_ends.hpp"
#include "daemon/front_end/mount_front_ends.hpp"
#include "daemon/image/image_service.hpp"
#include "daemon/image/layer_reaper.hpp"
#include "fetcher/source.hpp"
#include "protocol/kernel_io.hpp"
#include "protocol/library_front_end.hpp"
#include "trust/key_ring.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::daemon {

/// The composition root: makes all parts, in the order in which they depend on each other, and starts and stops them.
/// Loop thread only.
class Daemon {
public:
    /// `io` stands between cachefiles and the kernel; `reaper_helper` unmounts layers.
    /// `descriptors` is what a predecessor left, and what outlives this daemon. All outlive it.
    Daemon(
        EventLoop& loop,
        const Config& config,
        protocol::KernelIo& io,
        LayerReaper::Helper reaper_helper,
        FdStore& descriptors
    );
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    ~Daemon();

    /// Opens everything and begins to serve; nothing is left running after a failure once this object is destroyed.
    [[nodiscard]] Result<void> start();

    /// Stops serving for good, answers what waits, and ends the loop with `code`. What is mounted ends. Of this and
    /// leave() only the first call counts.
    void stop(int code);

    /// As stop(), but what is mounted stays, and what waits is left to the successor; where nobody keeps descriptors
    /// for one, it is stop().
    void leave(int code);

    /// Whether all that a stop that was not clean has left in doubt was looked at, and no write has failed since. What
    /// was refused for lack of room, or came too late for a handle, was not written at all, and hurts nothing.
    [[nodiscard]] bool is_cache_sound() const;

    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

private:
    [[nodiscard]] Result<void> start_all();
    [[nodiscard]] Result<void> open_cache();
    void make_mountable();
    void note_clean_stop();
    [[nodiscard]] Result<void> load_keys();
    void make_services();
    [[nodiscard]] Result<void> start_front_ends();
    [[nodiscard]] Result<void> start_library();
    [[nodiscard]] Result<void> start_front_end(std::unique_ptr<protocol::FrontEnd> front_end);
    [[nodiscard]] Result<void> start_mount_front_end(const FrontEndKind& kind);
    void make_image_service();
    void watch_use();
    void make_culler();
    void note_use(const Blob& blob);
    void forget_stored_bytes(const Digest& identity);
    [[nodiscard]] Result<void> start_control();
    void start_metrics();
    [[nodiscard]] bool is_well() const;

    EventLoop& loop_;
    const Config& config_;
    protocol::KernelIo& io_;
    LayerReaper::Helper reaper_helper_;
    FdStore& descriptors_;
    std::uint64_t takeovers_ = 0;
    bool ended_ = false; ///< stop() or leave()

    Counters counters_;
    FillPolicy policy_;
    std::unique_ptr<cache::CacheDir> cache_dir_; ///< holds the lock against a second daemon
    std::unique_ptr<CleanStop> clean_stop_;      ///< its destructor runs when all who write are gone
    std::unique_ptr<cache::TreeStore> trees_;
    trust::KeyRing keys_;
    BufferPool buffers_; ///< outlives the workers, whose jobs hold buffers
    TreeBudget tree_budget_;
    std::shared_ptr<protocol::Space> space_;
    WorkerPool workers_;
    std::unique_ptr<CacheSweep> sweep_; ///< null after a clean stop
    std::unique_ptr<fetcher::Sources> sources_;
    std::unique_ptr<fetcher::MirrorSet> mirrors_;
    std::unique_ptr<FillServices> services_; ///< what the services below share
    std::unique_ptr<ImageStore> store_;
    Catalogue catalogue_;
    Removals removals_;
    CacheIndex cache_index_;
    std::unique_ptr<Blobs> blobs_;
    std::unique_ptr<FrontEnds> front_ends_;
    MountFrontEnd mount_front_end_;
    protocol::LibraryFrontEnd* library_ = nullptr; ///< one of front_ends_
    std::unique_ptr<ImageService> images_;
    std::unique_ptr<Timer> use_times_;
    std::unique_ptr<Culler> culler_; ///< goes before the front ends, by which it removes files
    std::unique_ptr<ControlApi> api_;
    std::unique_ptr<LayerReaper> reaper_;
    std::unique_ptr<ControlServer> control_; ///< last: its requests use all of the above
    std::unique_ptr<ControlServer> metrics_; ///< and its requests, too
    std::vector<std::unique_ptr<SignalSource>> signals_;
    std::unique_ptr<Watchdog> watchdog_;
};

} // namespace sluice::daemon
