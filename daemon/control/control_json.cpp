// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_json.hpp"

#include "daemon/image/blob_records.hpp"

#include <cmath>
#include <ctime>
#include <fmt/chrono.h>
#include <sys/utsname.h>

namespace sluice::daemon {

namespace {

Json layer_json(const cache::LayerRecord& layer, const Config& config)
{
    Json devices = Json::array();
    for (const auto& device : layer.devices) {
        devices.push_back(cookie_of(device));
    }
    return {
        {"digest", layer.blob.digest.to_string()},
        {"role", "overlay-lower"},
        {"erofs_size", layer.blob.erofs_size},
        {"blob_size", layer.blob.blob_size},
        {"compressed", layer.blob.compressed},
        {"fsid", cookie_of(layer.blob)},
        {"domain_id", config.domain_id},
        {"mount_name", cookie_of(layer.blob)},
        {"devices", devices},
    };
}

/// Where the kernel mounts from, and what tells such a mount from one that a dead daemon has left.
void describe_source(Json& json, const MountFrontEnd& front_end)
{
    if (!front_end.blobs_dir.empty()) {
        json["blobs_dir"] = front_end.blobs_dir;
    }
    if (!front_end.mount_source.empty()) {
        json["mount_source"] = front_end.mount_source;
    }
}

std::string rfc3339(cache::WallTime time)
{
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

} // namespace

Json to_json(const Error& error)
{
    return {{"kind", std::string{to_string(error.kind())}}, {"message", error.text()}};
}

Json to_json(const MountFrontEnd& front_end)
{
    Json refused = Json::array();
    for (const auto& other : front_end.refused) {
        refused.push_back({{"name", other.name}, {"why", other.why}});
    }
    Json json{{"name", front_end.name}, {"why", front_end.why}, {"refused", refused}};
    describe_source(json, front_end);
    return json;
}

Json to_json(const cache::ImageRecord& image, const Config& config, const MountFrontEnd& front_end)
{
    Json layers = Json::array();
    for (const auto& layer : image.layers) {
        layers.push_back(layer_json(layer, config));
    }
    Json json{
        {"reference", image.reference},
        {"repository", image.repository},
        {"manifest_digest", image.manifest_digest.to_string()},
        {"index_digest", image.index_digest ? Json(image.index_digest->to_string()) : Json(nullptr)},
        {"signed_by", image.signer_name},
        {"signer_key", image.signer_key},
        {"verified_at", rfc3339(image.verified_at)},
        {"front_end", front_end.name},
        {"layers_dir", config.layers_dir.string()},
        {"layers", layers},
    };
    describe_source(json, front_end);
    return json;
}

Json describe_cache(const Config& config, const std::optional<protocol::Space::Figures>& figures, bool is_low)
{
    Json cache{{"dir", config.dir.string()}, {"low_space", is_low}};
    if (figures) {
        cache["free_bytes"] = figures->free_bytes;
        cache["total_bytes"] = figures->total_bytes;
    }
    if (is_low) {
        cache["advice"] = fmt::format(
            "free space is below bstop ({} %) or fstop ({} %): nothing more is stored, and reads of what is not in the "
            "cache fail; make room on the file system of {}, or set lower limits in sluiced.conf",
            config.blocks.stop,
            config.files.stop,
            config.dir.string()
        );
    }
    cache["limits"] = {
        {"brun", config.blocks.run},
        {"bcull", config.blocks.cull},
        {"bstop", config.blocks.stop},
        {"frun", config.files.run},
        {"fcull", config.files.cull},
        {"fstop", config.files.stop},
    };
    return cache;
}

Json describe_kernel(const MountFrontEnd& front_end)
{
    utsname kernel{};
    const bool is_known = ::uname(&kernel) == 0;
    return {{"release", is_known ? kernel.release : "unknown"}, {"restore", front_end.can_restore}};
}

Json to_json(const trust::KeyRing& keys)
{
    Json all = Json::array();
    for (const auto& [key, repositories] : keys.keys()) {
        all.push_back({{"id", key.id().to_string()}, {"name", key.name()}, {"repositories", repositories}});
    }
    return all;
}

Json to_json(const BlobStatus& status)
{
    Json json{
        {"digest", status.blob.digest.to_string()},
        {"cookie", cookie_of(status.blob)},
        {"erofs_size", status.blob.erofs_size},
        {"blob_size", status.blob.blob_size},
        {"present", nullptr},
        {"percent", nullptr},
        {"open", !status.users.empty()},
        {"users", status.users},
        {"reads", status.reads},
        {"complete", status.present == status.blob.erofs_size},
        {"repositories", status.blob.repositories},
        {"last_error", status.last_error ? to_json(*status.last_error) : Json(nullptr)},
    };
    if (status.present) {
        const auto part = static_cast<double>(*status.present) / static_cast<double>(status.blob.erofs_size);
        json["present"] = *status.present;
        json["percent"] = std::round(part * 1000) / 10;
    }
    return json;
}

Json to_json(const std::map<std::string, ReadStats, std::less<>>& reads_of)
{
    constexpr double kMillisecondsPerSecond = 1000;
    auto front_ends = Json::object();
    for (const auto& [name, stats] : reads_of) {
        const auto counts = stats.up_to_each_limit();
        Json within = Json::array();
        for (std::size_t i = 0; i < ReadStats::kLimits.size(); ++i) {
            within.push_back({{"ms", ReadStats::kLimits[i].count() * kMillisecondsPerSecond}, {"reads", counts[i]}});
        }
        within.push_back({{"ms", nullptr}, {"reads", counts.back()}});
        auto failed = Json::object();
        for (const auto& [kind, count] : stats.failed()) {
            failed[std::string{to_string(kind)}] = count;
        }
        front_ends[name] = {
            {"served", stats.served()}, {"failed", failed}, {"seconds", stats.total().count()}, {"within", within}};
    }
    return {{"front_ends", front_ends}};
}

} // namespace sluice::daemon
