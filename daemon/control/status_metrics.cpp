// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/status_metrics.hpp"

namespace sluice::daemon {

void add_fill_metrics(Metrics& metrics, const Counters& counters)
{
    using C = Counters;
    MetricGroup group{metrics, "counters", [&counters]() -> const Counters& { return counters; }};
    group.counter("opens", &C::opens, "Blobs that were opened")
        .counter("opens_rejected", &C::opens_rejected, "Blobs that were refused: no registered image has them")
        .counter("closes", &C::closes, "Blobs that were closed")
        .counter("reads", &C::reads, "Reads that asked for missing data")
        .counter("reads_already_there", &C::reads_already_there, "Reads that missed nothing when they were looked at")
        .counter("reads_failed", &C::reads_failed, "Reads that could not be served: their readers got an error")
        .counter("deadline_misses", &C::deadline_misses, "Failed reads that ran out of time")
        .counter("fetches", &C::fetches, "Ranges that were asked for")
        .counter("fetch_failures", &C::fetch_failures, "Ranges that could not be had")
        .counter("bytes_fetched", &C::bytes_fetched, "Bytes of blob data that came, without trees and manifests")
        .counter("tree_bytes_fetched", &C::tree_bytes_fetched, "Bytes of hash trees that came")
        .counter("bytes_written", &C::bytes_written, "Proved bytes that were written into the cache")
        .counter("verify_failures", &C::verify_failures, "Blocks and pieces of trees that did not match")
        .counter("write_failures", &C::write_failures, "Pieces that could not be written into the cache")
        .counter("blobs_culled", &C::blobs_culled, "Blobs that were removed from the cache to make room")
        .counter("bytes_culled", &C::bytes_culled, "Bytes on the disk that this has given back");
}

void add_space_metrics(Metrics& metrics, const protocol::Space& space)
{
    metrics.add({"space", "low", MetricKind::kGauge, "1 while free space is below bstop or fstop, else 0", [&space] {
                     return std::uint64_t{space.is_low() ? 1U : 0U};
                 }});
    metrics
        .add({"space", "writes_refused", MetricKind::kCounter, "Writes that were refused for want of space", [&space] {
                  return space.refused();
              }});
}

void add_fetch_metrics(Metrics& metrics, std::function<fetcher::FetchCounters()> read)
{
    using C = fetcher::FetchCounters;
    MetricGroup group{metrics, "fetcher", std::move(read)};
    group.counter("requests", &C::requests, "Requests to registries")
        .counter("bytes_received", &C::bytes_received, "Bytes of blobs that came, delivered or not")
        .counter("retries", &C::retries, "Requests that were made again")
        .counter("redirects", &C::redirects, "Answers that led elsewhere")
        .counter("tokens", &C::tokens, "Tokens that were asked for");
}

void add_library_metrics(Metrics& metrics, std::function<protocol::SocketStats()> read)
{
    using S = protocol::SocketStats;
    MetricGroup group{metrics, "library", std::move(read)};
    group.gauge("clients", &S::connected, "Clients of libsluice that are connected")
        .counter("clients_seen", &S::clients, "Clients that ever connected")
        .counter("clients_refused", &S::refused, "Clients without access, or too many")
        .gauge("open_objects", &S::open_objects, "Blobs that clients have open")
        .counter("opens", &S::opens, "Blobs that clients asked to open")
        .counter("opens_rejected", &S::opens_rejected, "Blobs that clients may not open")
        .counter("reads", &S::reads, "Reads that clients asked for")
        .counter("reads_failed", &S::reads_failed, "Reads of clients that failed")
        .counter("cancelled", &S::cancelled, "Reads that clients gave up")
        .counter("malformed", &S::malformed, "Connections that ended for what the client sent")
        .counter("stalled", &S::stalled, "Connections that ended because the client did not read, or not speak");
}

void add_front_end_metrics(Metrics& metrics, std::function<protocol::FrontEndStats()> read)
{
    using S = protocol::FrontEndStats;
    MetricGroup group{metrics, "device", std::move(read)};
    group.counter("opens", &S::opens, "OPEN messages of the kernel")
        .counter("opens_rejected", &S::opens_rejected, "OPEN messages that were refused")
        .counter("open_answers_failed", &S::open_answers_failed, "Answers to OPEN that the kernel did not take")
        .counter("reads", &S::reads, "READ messages of the kernel")
        .counter("reads_answered", &S::reads_answered, "READ messages that were answered")
        .counter("reads_forgotten", &S::reads_forgotten, "Answers to READ that the kernel no longer waited for")
        .counter("closes", &S::closes, "CLOSE messages of the kernel")
        .counter("replayed", &S::replayed, "Requests that a daemon before this one left unanswered")
        .counter("malformed", &S::malformed, "Messages that do not follow the protocol")
        .counter("unknown_objects", &S::unknown_objects, "READ messages of objects that are not open")
        .gauge("open_objects", &S::open_objects, "Objects that the kernel has open");
}

} // namespace sluice::daemon
