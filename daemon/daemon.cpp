// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.hpp"

#include "base/log.hpp"
#include "daemon/blob/cookies.hpp"
#include "daemon/control/status_metrics.hpp"
#include "daemon/front_end/library_door.hpp"
#include "protocol/cachefiles_device.hpp"
#include "protocol/fuse_device.hpp"
#include "protocol/prepopulate.hpp"
#include "sluice_config.h"
#include "trust/hasher.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <fmt/format.h>
#include <grp.h>
#include <stdexcept>
#include <sys/utsname.h>

namespace sluice::daemon {

namespace {

/// One chunk is what a worker proves and writes at once: large enough for the disk, small enough that a reader of the
/// first bytes of a large fetch does not wait for the last.
constexpr std::size_t kChunkSize = std::size_t{256} << 10;

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
    if (config.registry_ca) {
        options.http.ca_file = config.registry_ca->string();
    }
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

protocol::DeviceConfig device_config(const Config& config)
{
    protocol::DeviceConfig device;
    device.cache_dir = config.dir;
    device.tag = config.tag;
    device.limits = {
        config.blocks.run,
        config.blocks.cull,
        config.blocks.stop,
        config.files.run,
        config.files.cull,
        config.files.stop};
    device.secctx = config.secctx;
    if (config.kernel_debug != 0) {
        device.debug = config.kernel_debug;
    }
    return device;
}

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

Daemon::Daemon(EventLoop& loop, const Config& config, protocol::KernelIo& io, std::string sluicectl)
    : loop_{loop}
    , config_{config}
    , io_{io}
    , sluicectl_{std::move(sluicectl)}
    , policy_{fill_policy(config)}
    , buffers_{config.memory_budget, kChunkSize}
    , workers_{config.workers}
{}

Daemon::~Daemon()
{
    if (front_ends_ != nullptr) {
        front_ends_->stop();
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
    // What a crash has left half made would fail every mount that meets it.
    const auto report = protocol::startup_hygiene(config_.dir);
    for (const auto& path : report.removed) {
        log::warning("removed {}: a crash has left it without a valid attribute", path.string());
    }
    if (report.punched > 0) {
        log::warning("made holes of {} bytes of cached blobs that a crash has kept from being written", report.punched);
    }
    for (const auto& problem : report.problems) {
        log::warning("{}", problem);
    }
    auto store = ImageStore::open(loop_, cache_dir_->database());
    if (!store) {
        return fail(store.error());
    }
    store_ = std::move(*store);
    return {};
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
    services_ = std::make_unique<FillServices>(FillServices{loop_, workers_, *sources_, trees_.get(), counters_});
    catalogue_ = std::make_unique<Catalogue>(*services_);
    front_ends_ = std::make_unique<FrontEnds>();
}

Result<void> Daemon::start_front_end(std::string name, std::unique_ptr<protocol::Device> device)
{
    auto objects = std::make_unique<ObjectService>(*services_, policy_, *catalogue_, [this, name](const Error& why) {
        log::error("{}: {}; what it serves has to be mounted again", name, why.text());
        stop(1);
    });
    return front_ends_->start(FrontEnd{std::move(name), std::move(device), std::move(objects)});
}

Result<void> Daemon::try_cachefiles()
{
    auto device = std::make_unique<protocol::CachefilesDevice>(loop_, io_, device_config(config_));
    const auto& started_device = *device;
    auto started = start_front_end("cachefiles", std::move(device));
    if (started) {
        can_restore_ = started_device.can_restore();
        mount_front_end_.why = "/dev/cachefiles is there and takes on-demand mode";
    }
    return started;
}

Result<void> Daemon::try_fuse()
{
    protocol::FuseConfig fuse;
    fuse.mount_base = config_.blobs_dir;
    fuse.cache_dir = config_.dir;
    fuse.private_dir = cache_dir_->prefill();
    fuse.volume = volume_of(config_.domain_id);
    fuse.size_of = [this](std::string_view cookie) -> std::optional<std::uint64_t> {
        const auto* entry = catalogue_->find_cookie(cookie);
        return entry == nullptr ? std::nullopt : std::optional{entry->tree->blob().erofs_size};
    };
    fuse.cookies = [this] {
        std::vector<std::string> names;
        for (const auto& [digest, entry] : catalogue_->entries()) {
            names.push_back(cookie_of(digest));
        }
        return names;
    };
    auto device = std::make_unique<protocol::FuseDevice>(loop_, workers_, std::move(fuse));
    const auto& started_device = *device;
    auto started = start_front_end("fuse", std::move(device));
    if (started) {
        mount_front_end_.why = "/dev/fuse is there";
        mount_front_end_.blobs_dir = started_device.directory().string();
    }
    return started;
}

Result<void> Daemon::start_front_ends()
{
    struct Candidate {
        FrontEndMode mode;
        const char* name;
        Result<void> (Daemon::*start)();
    };

    constexpr std::array<Candidate, 2> kCandidates{
        {{FrontEndMode::kCachefiles, "cachefiles", &Daemon::try_cachefiles},
         {FrontEndMode::kFuse, "fuse", &Daemon::try_fuse}}};
    std::string faults;
    for (const auto& candidate : kCandidates) {
        if (config_.front_end != FrontEndMode::kAuto && config_.front_end != candidate.mode) {
            mount_front_end_.refused.push_back({candidate.name, "the configuration asks for another one"});
            continue;
        }
        if (!mount_front_end_.name.empty()) {
            mount_front_end_.refused.push_back(
                {candidate.name, fmt::format("not needed: {} works", mount_front_end_.name)}
            );
            continue;
        }
        if (auto started = (this->*candidate.start)(); started) {
            mount_front_end_.name = candidate.name;
        } else {
            log::info("no front end {}: {}", candidate.name, started.error().text());
            mount_front_end_.refused.push_back({candidate.name, started.error().text()});
            faults += fmt::format("{}{}: {}", faults.empty() ? "" : "; ", candidate.name, started.error().text());
        }
    }
    if (config_.front_end == FrontEndMode::kNone) {
        mount_front_end_.name = "none";
        mount_front_end_.why = "the configuration asks for none: images can be read with libsluice only";
    }
    if (mount_front_end_.name.empty()) {
        return fail(ErrorKind::kUnsupported, faults);
    }
    log::info("front end: {}", mount_front_end_.name);
    return {};
}

void Daemon::make_image_service()
{
    OfflineFill::Place place{"cachefiles", config_.dir, cache_dir_->prefill(), volume_of(config_.domain_id)};
    offline_ = std::make_unique<OfflineFill>(*services_, policy_, *front_ends_, std::move(place));
    ImageService::Options options;
    options.platform = fetcher::host_platform();
    options.lazy_only = config_.lazy_only;
    CompleteBlob complete;
    if (mount_front_end_.name == "cachefiles") {
        complete = [this](std::shared_ptr<BlobTree> tree) { return offline_->complete(std::move(tree)); };
    }
    images_ = std::make_unique<ImageService>(*services_, *sources_, keys_, *catalogue_, *store_, complete, options);
}

Result<void> Daemon::start_library_door()
{
    auto library = make_library_device(loop_, workers_, config_, cache_dir_->prefill(), *catalogue_, images_->images());
    if (!library) {
        return fail(library.error());
    }
    library_ = library->get();
    return start_front_end("library", std::move(*library));
}

Result<void> Daemon::start()
{
    try {
        if (auto opened = open_cache(); !opened) {
            return opened;
        }
        if (auto loaded = load_keys(); !loaded) {
            return loaded;
        }
        make_services();
        if (auto started = start_front_ends(); !started) {
            return started;
        }
        make_image_service();
        if (auto loaded = images_->load(); !loaded) {
            return loaded;
        }
        if (auto started = start_library_door(); !started) {
            return started;
        }
        ControlApi::Parts parts{
            loop_,
            workers_,
            config_,
            counters_,
            *catalogue_,
            *images_,
            *front_ends_,
            *offline_,
            mount_front_end_,
            [this] { return device_status(); }};
        api_ = std::make_unique<ControlApi>(std::move(parts));
        add_fetch_metrics(api_->metrics(), [this] { return sources_->counters(); });
        add_library_metrics(api_->metrics(), [this] { return library_->socket_stats(); });
        add_front_end_metrics(api_->metrics(), [this] { return front_ends_->all().front().device->stats(); });
        const auto options = control_options(config_);
        if (!options) {
            return fail(options.error());
        }
        control_ = std::make_unique<ControlServer>(loop_, *options, [this](ControlRequest request) {
            return api_->handle(std::move(request));
        });
        reaper_ = std::make_unique<LayerReaper>(loop_, sluicectl_, config_.layers_dir.string());
        reaper_->check();
        for (const int signal : {SIGTERM, SIGINT}) {
            signals_.push_back(std::make_unique<SignalSource>(
                loop_, signal, [this] { stop(0); }, "signal to stop"
            ));
        }
    } catch (const std::exception& error) {
        return fail(ErrorKind::kInternal, error.what());
    }
    loop_.enable_watchdog();
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
    loop_.notify("STOPPING=1");
    front_ends_->stop();
    loop_.exit(code);
}

Json Daemon::device_status() const
{
    Json keys = Json::array();
    for (const auto& [key, repositories] : keys_.keys()) {
        keys.push_back({{"id", key.id().to_string()}, {"name", key.name()}, {"repositories", repositories}});
    }
    utsname kernel{};
    const bool known = ::uname(&kernel) == 0;
    return {
        {"kernel", {{"release", known ? kernel.release : "unknown"}, {"restore", can_restore_}}},
        {"trusted_keys", keys},
        {"library", describe_library(config_)},
    };
}

} // namespace sluice::daemon
