// SPDX-License-Identifier: Apache-2.0
//
// Who uses which blob, and how room is made on the disk.
#include "daemon/daemon.hpp"
#include "daemon/image/blob_records.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

namespace sluice::daemon {

namespace {

/// A crash loses the access times of this span, of blobs that are in use all the time.
constexpr milliseconds kNoteUseEvery{600'000};

cache::WallTime wall_time(TimePoint when)
{
    const auto ago = std::chrono::duration_cast<std::chrono::seconds>(SteadyClock::now() - when);
    return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now()) - ago;
}

std::map<Digest, cache::WallTime> last_uses(const std::map<std::string, cache::ImageRecord>& images)
{
    std::map<Digest, cache::WallTime> uses;
    const auto add = [&uses](const cache::BlobRecord& blob) {
        if (blob.last_access != cache::WallTime{}) {
            uses.emplace(identity_of(blob), blob.last_access);
        }
    };
    for (const auto& [name, image] : images) {
        for (const auto& layer : image.layers) {
            add(layer.blob);
            std::for_each(layer.devices.begin(), layer.devices.end(), add);
        }
    }
    return uses;
}

} // namespace

void Daemon::watch_use()
{
    blobs_->on_use = [this](const Digest& identity) {
        forget_stored_bytes(identity);
        cache_index_.begin_use(identity);
    };
    blobs_->on_end = [this](const Blob& blob) {
        cache_index_.end_use(blob.identity(), wall_time(blob.last_use()));
        note_use(blob);
        if (services_->culler != nullptr) {
            services_->culler->note_end_of_use();
        }
    };
    catalogue_.on_change = [this](const Digest& identity) { cache_index_.reclassify(identity); };
    use_times_ = std::make_unique<Timer>(
        loop_,
        [this] {
            for (const auto& blob : blobs_->all()) {
                note_use(*blob);
            }
            use_times_->arm(kNoteUseEvery);
        },
        "use of blobs"
    );
    use_times_->arm(kNoteUseEvery);
}

void Daemon::forget_stored_bytes(const Digest& identity)
{
    if (auto* entry = catalogue_.find(identity); entry != nullptr) {
        entry->stored_bytes.reset();
    }
}

void Daemon::note_use(const Blob& blob)
{
    if (catalogue_.find(blob.identity()) != nullptr) {
        store_->touch(to_record(blob.info()).key(), wall_time(blob.last_use()));
    }
}

void Daemon::make_culler()
{
    auto* const front_end = front_ends_->all().front().front_end.get(); // that mounts are made with, if there is one
    Culler::Parts parts{
        loop_,
        workers_,
        cache_index_,
        removals_,
        *space_,
        trees_.get(),
        counters_,
        CacheFiles{services_->place, cache_dir_->own(), cache_dir_->trees()},
        config_.quota,
        last_uses(images_->images()),
        [front_end](const std::filesystem::path& file) { return front_end->remove(file); },
        [this](const Digest& identity) { forget_stored_bytes(identity); }};
    culler_ = std::make_unique<Culler>(std::move(parts));
    if (!config_.nocull) {
        services_->culler = culler_.get();
        culler_->start();
    }
}

} // namespace sluice::daemon
