// SPDX-License-Identifier: Apache-2.0
#include "daemon/control_api.hpp"

#include "base/text.hpp"
#include "daemon/cookies.hpp"
#include "protocol/prepopulate.hpp"
#include "sluice_config.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace sluice::daemon {

namespace {

ControlReply reply_with(unsigned status, const Json& json)
{
    return {status, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

ControlReply reply_with(const Error& error)
{
    const Json json{{"error", {{"kind", std::string{to_string(error.kind())}}, {"message", error.text()}}}};
    return reply_with(http_status(error.kind()), json);
}

std::string kernel_release()
{
    utsname name{};
    return ::uname(&name) == 0 ? name.release : "unknown";
}

Json describe_cache(const Config& config)
{
    Json cache{{"dir", config.dir.string()}};

    struct statvfs space {};

    if (::statvfs(config.dir.c_str(), &space) == 0) {
        cache["free_bytes"] = space.f_bavail * space.f_frsize;
        cache["size_bytes"] = space.f_blocks * space.f_frsize;
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

} // namespace

unsigned http_status(ErrorKind kind) noexcept
{
    switch (kind) {
    case ErrorKind::kNotFound:
        return 404;
    case ErrorKind::kDenied:
        return 403;
    case ErrorKind::kInvalid:
        return 400;
    case ErrorKind::kUnsupported:
        return 422;
    case ErrorKind::kTransient:
    case ErrorKind::kCorrupt:
        return 502;
    case ErrorKind::kTimeout:
        return 504;
    case ErrorKind::kNoSpace:
        return 507;
    case ErrorKind::kCancelled:
        return 503;
    case ErrorKind::kInternal:
        break;
    }
    return 500;
}

ControlApi::ControlApi(Parts parts) : parts_{std::move(parts)} {}

Task<ControlReply> ControlApi::handle(ControlRequest request)
{
    // Who may connect at all is decided by the socket's owner and mode; only root may change anything.
    if (request.method != "GET" && request.peer.uid != 0) {
        co_return reply_with(Error{ErrorKind::kDenied, fmt::format("only root may {} {}", request.method, request.path)}
        );
    }
    const auto result = co_await answer(std::move(request));
    if (!result) {
        co_return reply_with(result.error());
    }
    co_return reply_with(200, *result);
}

Task<Result<Json>> ControlApi::answer(ControlRequest request)
{
    const bool get = request.method == "GET";
    if (get && request.path == "/v1/status") {
        co_return status();
    }
    if (get && request.path == "/v1/images") {
        co_return images();
    }
    if (get && request.path == "/v1/blobs") {
        co_return co_await blobs();
    }
    if (request.method == "POST" && request.path == "/v1/images") {
        auto body = std::move(request.body);
        co_return co_await register_image(std::move(body));
    }
    if (request.method == "DELETE" && request.path == "/v1/images") {
        auto reference = request.query["reference"];
        const auto forgotten = co_await parts_.images.forget(std::move(reference));
        if (!forgotten) {
            co_return fail(forgotten.error());
        }
        co_return Json::object();
    }
    co_return fail(
        ErrorKind::kNotFound,
        fmt::format("no such request: {} {}", printable(request.method, 20), printable(request.path, 100))
    );
}

Json ControlApi::status() const
{
    const auto& c = parts_.counters;
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(SteadyClock::now() - started_).count();
    Json status{
        {"version", SLUICE_VERSION},
        {"pid", ::getpid()},
        {"uptime_seconds", uptime},
        {"kernel", kernel_release()},
        {"layers_dir", parts_.config.layers_dir.string()},
        {"domain_id", parts_.config.domain_id},
        {"cache", describe_cache(parts_.config)},
        {"images", parts_.images.images().size()},
        {"blobs", parts_.catalogue.entries().size()},
        {"objects_open", parts_.objects.objects_open()},
        {"in_flight", {{"reads", parts_.objects.reads_waiting()}, {"bytes", parts_.objects.bytes_in_flight()}}},
    };
    status["counters"] = {
        {"opens", c.opens},
        {"opens_rejected", c.opens_rejected},
        {"closes", c.closes},
        {"reads", c.reads},
        {"reads_already_there", c.reads_already_there},
        {"reads_failed", c.reads_failed},
        {"deadline_misses", c.deadline_misses},
        {"fetches", c.fetches},
        {"fetch_failures", c.fetch_failures},
        {"bytes_fetched", c.bytes_fetched},
        {"tree_bytes_fetched", c.tree_bytes_fetched},
        {"bytes_written", c.bytes_written},
        {"verify_failures", c.verify_failures},
        {"write_failures", c.write_failures},
    };
    status.update(parts_.device_status());
    return status;
}

Json ControlApi::image(const cache::ImageRecord& record) const
{
    Json layers = Json::array();
    for (const auto& layer : record.layers) {
        Json devices = Json::array();
        for (const auto& device : layer.devices) {
            devices.push_back(cookie_of(device.digest));
        }
        layers.push_back({
            {"digest", layer.blob.digest.to_string()},
            {"erofs_size", layer.blob.erofs_size},
            {"blob_size", layer.blob.blob_size},
            {"role", "overlay-lower"},
            {"compressed", layer.blob.compressed},
            {"fsid", cookie_of(layer.blob.digest)},
            {"domain_id", parts_.config.domain_id},
            {"mount_name", layer.blob.digest.hex()},
            {"devices", devices},
        });
    }
    return {
        {"reference", record.reference},
        {"repository", record.repository},
        {"manifest_digest", record.manifest_digest.to_string()},
        {"signed_by", record.signer_name},
        {"verified_at", record.verified_at.time_since_epoch().count()},
        {"layers", layers},
    };
}

Json ControlApi::images() const
{
    Json list = Json::array();
    for (const auto& [name, record] : parts_.images.images()) {
        list.push_back(image(record));
    }
    return {{"images", list}};
}

Task<Result<Json>> ControlApi::register_image(std::string body)
{
    const auto json = parse_json(body, "the request's body", ControlServer::kMaxBody);
    if (!json) {
        co_return fail(json.error());
    }
    const auto* reference = json_string(*json, "reference");
    if (reference == nullptr) {
        co_return fail(ErrorKind::kInvalid, "the request's body: \"reference\" must be a string");
    }
    const auto flag = [&](const char* name) {
        const auto* member = json_member(*json, name);
        return member != nullptr && member->is_boolean() && *member == true;
    };
    ImageService::Request request{*reference, flag("lazy_only"), flag("refresh")};
    const auto registered = co_await parts_.images.ensure(std::move(request));
    if (!registered) {
        co_return fail(registered.error());
    }
    co_return image(*registered);
}

Task<Result<Json>> ControlApi::blobs()
{
    struct Row {
        BlobInfo blob;
        bool open = false;
        bool known = false; ///< `present` needs no look at the disk
        Result<std::uint64_t> present = 0;
        std::string last_error;
    };

    std::vector<Row> rows;
    for (const auto& [digest, entry] : parts_.catalogue.entries()) {
        Row row;
        row.blob = entry.tree->blob();
        row.last_error = entry.last_error;
        if (const auto* filler = parts_.objects.find(digest); filler != nullptr) {
            row.open = true;
            row.known = true;
            row.present = filler->bytes_present();
            row.last_error = filler->last_error();
        } else if (const auto filling = parts_.offline.progress(digest)) {
            row.known = true;
            row.present = *filling;
        }
        rows.push_back(std::move(row));
    }
    // Blobs that are not open have to be looked up on the disk, which is for workers.
    auto job =
        [found = std::move(rows), dir = parts_.config.dir, volume = volume_of(parts_.config.domain_id)]() mutable {
            for (auto& row : found) {
                if (!row.known) {
                    const auto file = protocol::find_committed(dir, volume, cookie_of(row.blob.digest));
                    row.present = file ? file->present : 0;
                }
            }
            return std::move(found);
        };
    const auto listed = co_await parts_.workers.run(parts_.loop, std::move(job));
    Json list = Json::array();
    for (const auto& row : listed) {
        const auto present = row.present.value_or(0);
        list.push_back({
            {"digest", row.blob.digest.to_string()},
            {"erofs_size", row.blob.erofs_size},
            {"blob_size", row.blob.blob_size},
            {"present", present},
            {"percent",
             row.blob.erofs_size == 0
                 ? 100.0
                 : 100.0 * static_cast<double>(present) / static_cast<double>(row.blob.erofs_size)},
            {"open", row.open},
            {"complete", present == row.blob.erofs_size},
            {"repositories", row.blob.repositories},
            {"last_error", row.last_error},
        });
    }
    co_return Json{{"blobs", list}};
}

} // namespace sluice::daemon
