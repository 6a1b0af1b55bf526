// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/aligned_buffer.hpp"
#include "base/worker_pool.hpp"
#include "cache/cache_dir.hpp"
#include "cache/tree_store.hpp"
#include "daemon/config/config.hpp"
#include "daemon/control/control_api.hpp"
#include "daemon/control/control_server.hpp"
#include "daemon/front_end/front_ends.hpp"
#include "daemon/front_end/offline_fill.hpp"
#include "daemon/image/image_service.hpp"
#include "daemon/image/layer_reaper.hpp"
#include "fetcher/source.hpp"
#include "protocol/kernel_io.hpp"
#include "protocol/socket_device.hpp"
#include "trust/key_ring.hpp"

#include <memory>
#include <string>
#include <vector>

namespace sluice::daemon {

/// The composition root: makes all parts, in the order in which they depend on each other, and starts and stops them.
/// Loop thread only.
class Daemon {
public:
    /// `io` stands between the device and the kernel; `sluicectl` is the program that the layer reaper runs.
    Daemon(EventLoop& loop, const Config& config, protocol::KernelIo& io, std::string sluicectl);
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    ~Daemon();

    /// Opens everything and begins to serve; nothing is left running after a failure once this object is destroyed.
    [[nodiscard]] Result<void> start();

    /// Stops serving, answers what waits, and ends the loop with `code`.
    void stop(int code);

    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

private:
    [[nodiscard]] Result<void> open_cache();
    [[nodiscard]] Result<void> load_keys();
    void make_services();
    [[nodiscard]] Result<void> start_front_ends();
    [[nodiscard]] Result<void> start_library_door();
    [[nodiscard]] Result<void> start_front_end(std::string name, std::unique_ptr<protocol::Device> device);
    [[nodiscard]] Result<void> try_cachefiles();
    [[nodiscard]] Result<void> try_fuse();
    void make_image_service();
    [[nodiscard]] Json device_status() const;

    EventLoop& loop_;
    const Config& config_;
    protocol::KernelIo& io_;
    std::string sluicectl_;

    Counters counters_;
    FillPolicy policy_;
    std::unique_ptr<cache::CacheDir> cache_dir_; ///< holds the lock against a second daemon
    std::unique_ptr<cache::TreeStore> trees_;
    trust::KeyRing keys_;
    BufferPool buffers_; ///< outlives the workers, whose jobs hold buffers
    WorkerPool workers_;
    std::unique_ptr<fetcher::Sources> sources_;
    std::unique_ptr<FillServices> services_; ///< what the services below share
    std::unique_ptr<ImageStore> store_;
    std::unique_ptr<Catalogue> catalogue_;
    std::unique_ptr<FrontEnds> front_ends_;
    MountFrontEnd mount_front_end_;
    bool can_restore_ = false;                  ///< the kernel delivers unanswered requests again
    protocol::SocketDevice* library_ = nullptr; ///< one of front_ends_
    std::unique_ptr<OfflineFill> offline_;
    std::unique_ptr<ImageService> images_;
    std::unique_ptr<ControlApi> api_;
    std::unique_ptr<LayerReaper> reaper_;
    std::unique_ptr<ControlServer> control_; ///< last: its requests use all of the above
    std::vector<std::unique_ptr<SignalSource>> signals_;
};

} // namespace sluice::daemon
