// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.hpp"

#include "base/log.hpp"
#include "base/tcp_listener.hpp"
#include "daemon/authorities.hpp"
#include "daemon/control/status_metrics.hpp"
#include "daemon/takeovers.hpp"
#include "protocol/hygiene.hpp"
#include "sluice_config.h"
#include "trust/ca_store.hpp"
#include "trust/hasher.hpp"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <grp.h>

namespace sluice::daemon {

namespace {

/// One chunk is what a worker proves and writes at once: large enough for the disk, small enough that a reader of the
/// first bytes of a large fetch does not wait for the last.
constexpr std::size_t kChunkSize = std::size_t{256} << 10;

/// A READ that has still not been answered this long after its deadline will never be.
constexpr milliseconds kOverdue{10'000};

FillPolicy fill_policy(const Config& config)
{
    FillPolicy policy;
    policy.read_deadline = config.read_deadline;
    policy.read.max_request = config.max_request;
    policy.read.read_ahead = config.read_ahead;
    policy.read.random_window = config.random_window;
    return policy;
}

fetcher::RegistryOptions registry_options(const Config& config)
{
    fetcher::RegistryOptions options;
    options.http.authorities = authorities(config.registry_ca, trust::system_ca_bundle());
    options.http.user_agent = fmt::format("sluice/{}", SLUICE_VERSION);
    options.http.connect_timeout = config.connect_timeout;
    options.http.stall_timeout = config.stall_timeout;
    options.http.connections_per_host = config.connections;
    if (config.registry_credentials) {
        options.credentials_file = config.registry_credentials->string();
    }
    options.insecure = config.registry_insecure;
    options.http.private_networks = config.registry_private_networks;
    return options;
}

/// Of the memory budget, hash trees have a quarter: it proves 1 GiB of data at the default of 32 MiB.
constexpr std::uint64_t tree_share(std::uint64_t memory_budget) noexcept
{
    return memory_budget / 4;
}

constexpr unsigned kMetricsConnections = 16; ///< over TCP: nobody else's requests wait behind theirs

Result<ControlServer::Options> control_options(const Config& config)
{
    ControlServer::Options options;
    options.socket_path = config.control_socket.string();
    if (!config.control_group.empty()) {
        const auto* group =
            ::getgrnam(config.control_group.c_str()); // NOLINT(concurrency-mt-unsafe): only the loop asks
        if (group == nullptr) {
            return fail(
                ErrorKind::kNotFound, fmt::format("control-group: there is no group \"{}\"", config.control_group)
            );
        }
        options.group = group->gr_gid;
        options.mode = 0660;
    }
    return options;
}

} // namespace

Daemon::Daemon(
    EventLoop& loop,
    const Config& config,
    protocol::KernelIo& io,
    LayerReaper::Helper reaper_helper,
    FdStore& descriptors
)
    : loop_{loop}
    , config_{config}
    , io_{io}
    , reaper_helper_{std::move(reaper_helper)}
    , descriptors_{descriptors}
    , policy_{fill_policy(config)}
    , buffers_{config.memory_budget - tree_share(config.memory_budget), kChunkSize}
    , tree_budget_{tree_share(config.memory_budget)}
    , space_{std::make_shared<protocol::Space>(config.dir.string(), CacheLimits{config.blocks, config.files})}
    , workers_{config.workers}
    , removals_{loop}
    , cache_index_{[this](const Digest& identity) {
        return catalogue_.find(identity) == nullptr ? KeepClass::kForgotten : KeepClass::kRegistered;
    }}
{}

Daemon::~Daemon()
{
    // A start that failed, or a loop that was ended without a word: what is mounted is the successor's.
    if (services_ != nullptr) {
        services_->culler = nullptr; // it goes before the blobs
    }
    if (!ended_ && front_ends_ != nullptr) {
        if (descriptors_.keeps()) {
            front_ends_->leave();
        } else {
            front_ends_->stop();
        }
    }
    if (!ended_ && control_ != nullptr && descriptors_.keeps()) {
        control_->leave();
    }
}

Result<void> Daemon::open_cache()
{
    auto dir = cache::CacheDir::open(config_.dir);
    if (!dir) {
        return fail(dir.error());
    }
    cache_dir_ = std::make_unique<cache::CacheDir>(std::move(*dir));
    trees_ = std::make_unique<cache::TreeStore>(cache_dir_->trees());
    clean_stop_ = std::make_unique<CleanStop>(*cache_dir_);
    if (!clean_stop_->was_clean()) {
        make_mountable();
    }
    auto store = ImageStore::open(loop_, cache_dir_->database());
    if (!store) {
        return fail(store.error());
    }
    store_ = std::move(*store);
    return {};
}

void Daemon::make_mountable()
{
    const protocol::Hygiene hygiene{config_.dir, cache_dir_->prefill()};
    sweep_ = std::make_unique<CacheSweep>(loop_, workers_, hygiene);
    const auto report = hygiene.make_mountable();
    for (const auto& path : report.removed) {
        log::warning("removed {}: a crash has left it without a valid attribute", path.string());
    }
    for (const auto& problem : report.problems) {
        log::warning("{}", problem);
    }
}

bool Daemon::is_cache_sound() const
{
    return !space_->has_failed_write() && (sweep_ == nullptr || sweep_->is_all_sound());
}

Result<void> Daemon::load_keys()
{
    std::vector<trust::KeyFile> files;
    for (const auto& [file, repositories] : config_.trusted_keys) {
        files.push_back({file, repositories});
    }
    auto keys = trust::KeyRing::load(files);
    if (!keys) {
        return fail(keys.error(), "trusted-key");
    }
    keys_ = std::move(*keys);
    if (config_.require_signed_name) {
        keys_.require_signed_name();
    }
    if (keys_.empty()) {
        log::warning("no trusted-key is configured: every image will be refused");
    }
    return {};
}

void Daemon::make_services()
{
    sources_ = std::make_unique<fetcher::Sources>(loop_, registry_options(config_), buffers_, &trust::sha256);
    mirrors_ =
        std::make_unique<fetcher::MirrorSet>(loop_, [this](const std::string& repository) -> fetcher::BlobSource& {
            return sources_->blobs(repository);
        });
    FilePlace place{config_.dir, cache_dir_->prefill(), volume_of(config_.domain_id)};
    services_ = std::make_unique<FillServices>(FillServices{
        loop_, workers_, *mirrors_, trees_.get(), counters_, tree_budget_, space_, std::move(place), sweep_.get()});
    services_->removals = &removals_;
    blobs_ = std::make_unique<Blobs>(*services_, policy_);
    watch_use();
    front_ends_ = std::make_unique<FrontEnds>();
}

void Daemon::make_image_service()
{
    ImageService::Options options;
    options.platform = fetcher::host_platform();
    options.lazy_only = config_.lazy_only;
    options.needs_complete = mount_front_end_.needs_complete;
    auto images = [this](const std::string& repository) -> fetcher::ImageSource& {
        return sources_->images(repository);
    };
    ImageService::Parts parts{loop_, workers_, std::move(images), keys_, catalogue_, *blobs_, *store_, trees_.get()};
    images_ = std::make_unique<ImageService>(parts, options);
}

Result<void> Daemon::start_control()
{
    ControlApi::Parts parts{
        loop_,
        workers_,
        config_,
        counters_,
        catalogue_,
        *images_,
        *blobs_,
        *front_ends_,
        mount_front_end_,
        keys_,
        *space_,
        takeovers_};
    api_ = std::make_unique<ControlApi>(parts);
    add_fetch_metrics(api_->metrics(), [this] { return sources_->counters(); });
    add_library_metrics(api_->metrics(), [this] { return library_->socket_stats(); });
    add_front_end_metrics(api_->metrics(), [this] { return front_ends_->all().front().front_end->stats(); });
    const auto options = control_options(config_);
    if (!options) {
        return fail(options.error());
    }
    auto handler = [this](ControlRequest request) { return api_->handle(std::move(request)); };
    control_ = std::make_unique<ControlServer>(loop_, *options, std::move(handler), descriptors_);
    start_metrics();
    return {};
}

void Daemon::start_metrics()
{
    if (config_.metrics_address.empty()) {
        return;
    }
    auto listener = listen_tcp(config_.metrics_address);
    if (!listener) {
        log::warning("metrics-address {}: only the control socket answers /metrics", listener.error().text());
        return;
    }
    auto handler = [this](ControlRequest request) { return api_->handle_metrics(std::move(request)); };
    metrics_ = std::make_unique<ControlServer>(
        loop_,
        "metrics-address " + config_.metrics_address,
        std::move(*listener),
        kMetricsConnections,
        std::move(handler)
    );
}

bool Daemon::is_well() const
{
    const auto first = blobs_->first_deadline();
    return !first || SteadyClock::now() < first->when() + kOverdue;
}

Result<void> Daemon::start()
{
    auto started = start_all();
    if (!started && clean_stop_ && is_cache_sound()) {
        note_clean_stop();
    }
    return started;
}

void Daemon::note_clean_stop()
{
    if (descriptors_.keeps()) {
        clean_stop_->hand_over();
    } else {
        clean_stop_->finish();
    }
}

Result<void> Daemon::start_all()
{
    try {
        if (auto opened = open_cache(); !opened) {
            return opened;
        }
        if (auto loaded = load_keys(); !loaded) {
            return loaded;
        }
        takeovers_ = count_takeover(descriptors_);
        make_services();
        if (auto started = start_front_ends(); !started) {
            return started;
        }
        make_image_service();
        if (auto loaded = images_->load(); !loaded) {
            return loaded;
        }
        if (auto started = start_library(); !started) {
            return started;
        }
        make_culler();
        if (auto started = start_control(); !started) {
            return started;
        }
        reaper_ = std::make_unique<LayerReaper>(loop_, reaper_helper_, config_.layers_dir.string());
        reaper_->check();
        signals_.push_back(std::make_unique<SignalSource>(
            loop_, SIGINT, [this] { stop(0); }, "signal to stop"
        ));
        signals_.push_back(std::make_unique<SignalSource>(
            loop_, SIGTERM, [this] { leave(0); }, "signal to hand over"
        ));
        watchdog_ = std::make_unique<Watchdog>(loop_, [this] { return is_well(); });
    } catch (const std::exception& error) {
        return fail(ErrorKind::kInternal, error.what());
    }
    if (sweep_) {
        sweep_->start();
    }
    auto clear = [hygiene = protocol::Hygiene{config_.dir, cache_dir_->prefill()}] {
        for (const auto& problem : hygiene.empty_graveyard().problems) {
            log::warning("{}", problem);
        }
    };
    workers_.submit(std::move(clear), Urgency::kBackground);
    log::info(
        "sluiced {} serves {} images from {} ({} trusted keys)",
        SLUICE_VERSION,
        images_->images().size(),
        config_.dir.string(),
        keys_.keys().size()
    );
    return {};
}

void Daemon::stop(int code)
{
    if (std::exchange(ended_, true)) {
        return;
    }
    loop_.notify("STOPPING=1");
    front_ends_->stop();
    if (code == 0 && is_cache_sound()) {
        clean_stop_->finish();
    }
    loop_.exit(code);
}

void Daemon::leave(int code)
{
    if (!descriptors_.keeps()) {
        stop(code);
        return;
    }
    if (std::exchange(ended_, true)) {
        return;
    }
    loop_.notify("STOPPING=1");
    if (is_cache_sound()) {
        clean_stop_->hand_over();
    }
    log::info("what is mounted is left to the next daemon");
    if (control_ != nullptr) {
        control_->leave();
    }
    metrics_.reset();
    front_ends_->leave();
    loop_.exit(code);
}

} // namespace sluice::daemon
