// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_api.hpp"

#include "base/text.hpp"
#include "daemon/control/control_json.hpp"
#include "daemon/control/exposition.hpp"
#include "daemon/control/status_metrics.hpp"
#include "daemon/front_end/library.hpp"
#include "protocol/prepopulate.hpp"
#include "sluice_config.h"

#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>

namespace sluice::daemon {

namespace {

constexpr unsigned kMethodNotAllowed = 405;

ControlReply reply_with(unsigned status, const Json& json)
{
    return {status, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

ControlReply reply_with(unsigned status, const Error& error)
{
    return reply_with(status, Json{{"error", to_json(error)}});
}

/// What the path can do; empty for a path that there is not.
std::vector<std::string_view> methods_of(std::string_view path)
{
    if (path == "/v1/images") {
        return {"GET", "POST", "DELETE"};
    }
    return path == "/v1/status" || path == "/v1/blobs" || path == "/v1/reads" || path == "/metrics"
               ? std::vector<std::string_view>{"GET"}
               : std::vector<std::string_view>{};
}

/// Refuses members that nobody knows, so that a misspelt option is never silently ignored.
Result<ImageService::Request> parse_request(std::string_view body)
{
    const auto json = parse_json(body, "the request's body", ControlServer::kMaxBody);
    if (!json) {
        return fail(json.error());
    }
    const auto* reference = json_string(*json, "reference");
    if (reference == nullptr) {
        return fail(ErrorKind::kInvalid, "the request's body: \"reference\" must be a string");
    }
    ImageService::Request request{*reference, false, false};
    for (const auto& [name, value] : json->items()) {
        if (name == "reference") {
            continue;
        }
        if (name != "lazy_only" && name != "refresh" && name != "complete") {
            return fail(
                ErrorKind::kInvalid,
                fmt::format(
                    "the request's body: there is no member \"{}\"; known are \"reference\", \"lazy_only\", "
                    "\"refresh\" and \"complete\"",
                    printable(name, 50)
                )
            );
        }
        if (!value.is_boolean()) {
            return fail(
                ErrorKind::kInvalid,
                fmt::format("the request's body: \"{}\" must be true or false", printable(name, 50))
            );
        }
        auto& member = name == "refresh" ? request.refresh : name == "complete" ? request.complete : request.lazy_only;
        member = value.get<bool>();
    }
    return request;
}

} // namespace

unsigned http_status(ErrorKind kind) noexcept
{
    switch (kind) {
    case ErrorKind::kInvalid:
        return 400;
    case ErrorKind::kDenied:
        return 403;
    case ErrorKind::kNotFound:
        return 404;
    case ErrorKind::kInternal:
        return 500;
    case ErrorKind::kUnsupported:
        return 501;
    case ErrorKind::kCorrupt:
        return 502;
    case ErrorKind::kTransient:
    case ErrorKind::kCancelled:
        return 503;
    case ErrorKind::kTimeout:
        return 504;
    case ErrorKind::kNoSpace:
        return 507;
    }
    return 500;
}

ControlApi::ControlApi(Parts parts) : parts_{parts}, listing_blobs_{parts_.loop}
{
    add_fill_metrics(metrics_, parts_.counters);
    add_space_metrics(metrics_, parts_.space);
    const auto& front_ends = parts_.front_ends;
    const auto& blobs = parts_.blobs;
    metrics_.add({"in_flight", "reads", MetricKind::kGauge, "Reads that wait", [&] {
                      return std::uint64_t{blobs.reads_waiting()};
                  }});
    metrics_.add({"in_flight", "bytes", MetricKind::kGauge, "Bytes that were asked for and are not in the cache", [&] {
                      return blobs.bytes_in_flight();
                  }});
    metrics_.add({"in_flight", "oldest_read_ms", MetricKind::kGauge, "How long the read waits that came first", [&] {
                      const auto due = blobs.first_deadline();
                      const auto left = due ? due->remaining() : parts_.config.read_deadline;
                      return static_cast<std::uint64_t>(
                          std::max(milliseconds{0}, parts_.config.read_deadline - left).count()
                      );
                  }});
    metrics_.add({"blobs", "known", MetricKind::kGauge, "Blobs of registered images", [this] {
                      return std::uint64_t{parts_.catalogue.entries().size()};
                  }});
    metrics_.add({"blobs", "open", MetricKind::kGauge, "Blobs that somebody has open", [&] {
                      return std::uint64_t{front_ends.objects_open()};
                  }});
}

Task<ControlReply> ControlApi::handle(ControlRequest request)
{
    const auto what = fmt::format("{} {}", printable(request.method, 20), printable(request.path, 100));
    const auto methods = methods_of(request.path);
    if (methods.empty()) {
        co_return reply_with(404, Error{ErrorKind::kNotFound, fmt::format("{}: no such path", what)});
    }
    if (std::ranges::find(methods, request.method) == methods.end()) {
        co_return reply_with(
            kMethodNotAllowed, Error{ErrorKind::kInvalid, fmt::format("{}: this path does not take this method", what)}
        );
    }
    // Who may connect at all is decided by the socket's owner and mode; only root may change anything.
    if (request.method != "GET" && request.peer.uid != 0) {
        co_return reply_with(403, Error{ErrorKind::kDenied, fmt::format("{}: only root may do this", what)});
    }
    if (request.path == "/metrics") {
        co_return metrics_page();
    }
    const auto result = co_await answer(std::move(request));
    if (!result) {
        co_return reply_with(http_status(result.error().kind()), result.error());
    }
    co_return reply_with(200, *result);
}

Task<ControlReply> ControlApi::handle_metrics(ControlRequest request)
{
    if (request.path != "/metrics" || request.method != "GET") {
        co_return reply_with(
            404, Error{ErrorKind::kNotFound, "only GET /metrics is answered here; ask the control socket for all else"}
        );
    }
    co_return metrics_page();
}

ControlReply ControlApi::metrics_page() const
{
    return {
        200,
        expose({metrics_, parts_.counters, parts_.images.images().size(), parts_.takeovers}),
        "text/plain; version=0.0.4; charset=utf-8"};
}

Task<Result<Json>> ControlApi::answer(ControlRequest request)
{
    if (request.path == "/v1/status") {
        auto document = co_await status();
        co_return document;
    }
    if (request.path == "/v1/blobs") {
        auto start = [this] { return blobs(); };
        auto list = co_await listing_blobs_.run(0, std::move(start));
        co_return list;
    }
    if (request.path == "/v1/reads") {
        co_return to_json(parts_.counters.reads_of);
    }
    if (request.method == "GET") {
        co_return images();
    }
    if (request.method == "DELETE") {
        const auto reference = request.query["reference"];
        const auto forgotten = co_await parts_.images.forget(reference);
        if (!forgotten) {
            co_return fail(forgotten.error());
        }
        co_return Json{{"reference", reference}};
    }
    auto wanted = parse_request(request.body);
    if (!wanted) {
        co_return fail(wanted.error());
    }
    const auto registered = co_await parts_.images.ensure(std::move(*wanted));
    if (!registered) {
        co_return fail(registered.error());
    }
    co_return to_json(*registered, parts_.config, parts_.mount_front_end);
}

Task<Result<Json>> ControlApi::status()
{
    auto look = [&space = parts_.space] { return space.look(); };
    const auto figures = co_await parts_.workers.run(parts_.loop, std::move(look));
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(SteadyClock::now() - started_).count();
    Json status{
        {"version", SLUICE_VERSION},
        {"pid", ::getpid()},
        {"uptime_seconds", uptime},
        {"front_end", to_json(parts_.mount_front_end)},
        {"kernel", describe_kernel(parts_.mount_front_end)},
        {"layers_dir", parts_.config.layers_dir.string()},
        {"library", describe_library(parts_.config)},
        {"domain_id", parts_.config.domain_id},
        {"cache", describe_cache(parts_.config, figures, parts_.space.is_low())},
        {"takeovers", parts_.takeovers},
        {"images", parts_.images.images().size()},
        {"trusted_keys", to_json(parts_.keys)},
    };
    status.merge_patch(metrics_.to_json());
    co_return status;
}

Json ControlApi::images() const
{
    Json list = Json::array();
    for (const auto& [name, record] : parts_.images.images()) {
        list.push_back(to_json(record, parts_.config, parts_.mount_front_end));
    }
    return {{"images", list}};
}

Task<Result<Json>> ControlApi::blobs()
{
    struct Row {
        Digest identity;
        BlobStatus status;
        std::weak_ptr<Blob> used; // to be listed does not keep it in use
    };

    std::vector<Row> rows;
    for (const auto& [identity, entry] : parts_.catalogue.entries()) {
        Row row{identity, {entry.info, entry.stored_bytes, {}, 0, entry.last_error}, {}};
        if (const auto blob = parts_.blobs.find(identity)) {
            row.status.users = blob->users();
            row.status.reads = blob->reads();
            row.used = blob;
            if (const auto& error = blob->filler().last_error()) {
                row.status.last_error = error;
            }
        }
        rows.push_back(std::move(row));
    }
    for (auto& row : rows) {
        if (const auto blob = row.used.lock()) {
            const auto stored = co_await blob->stored_bytes();
            row.status.present = stored ? std::optional{*stored} : std::nullopt;
        }
    }
    // To look into files is for workers; into those that nobody has used since the last time nobody looks again.
    auto job =
        [found = std::move(rows), dir = parts_.config.dir, volume = volume_of(parts_.config.domain_id)]() mutable {
            for (auto& [identity, status, used] : found) {
                if (!status.present) {
                    const auto stored = protocol::find_committed(dir, volume, identity.hex());
                    status.present = stored ? std::optional{stored->present} : std::nullopt;
                }
            }
            return std::move(found);
        };
    const auto listed = co_await parts_.workers.run(parts_.loop, std::move(job), Urgency::kBackground);
    Json list = Json::array();
    for (const auto& row : listed) {
        auto* entry = parts_.catalogue.find(row.identity);
        if (entry != nullptr && row.status.present && parts_.blobs.find(row.identity) == nullptr) {
            entry->stored_bytes = row.status.present;
        }
        list.push_back(to_json(row.status));
    }
    co_return Json{{"blobs", list}};
}

} // namespace sluice::daemon
