// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/faults/fault_table.hpp"

#include <cerrno>

namespace sluice::test {

namespace {

const std::vector<Moment> kAlways{Moment::kOpen, Moment::kFirstRead, Moment::kMiddle};
const std::vector<Moment> kReads{Moment::kFirstRead, Moment::kMiddle};

constexpr Promise kBytes{};
/// The registry can be reached, and is asked again and again.
constexpr Promise kTimesOut{.error = ErrorKind::kTimeout, .until_deadline = true, .least_requests = 2};
/// No second request gets to the registry, for as long as the fault lasts.
constexpr Promise kWaitsInVain{.error = ErrorKind::kTimeout, .until_deadline = true};

constexpr Promise at_once(ErrorKind kind, std::size_t most_requests = 4)
{
    return {.error = kind, .until_deadline = false, .most_requests = most_requests};
}

/// A row whose fault is the registry's answer.
template <typename MakeFault>
void script(FaultWorld& world, unsigned times, MakeFault make)
{
    world.registry->script("/blobs/", make(world), times);
}

void mend_registry(FaultWorld& world)
{
    world.registry->clear_scripts();
    world.registry->release();
}

bool registry_struck(const FaultWorld& world)
{
    return world.registry->faults_struck() > 0;
}

void mend_writes(FaultWorld& world)
{
    world.fail_writes(0);
}

bool write_struck(const FaultWorld& world)
{
    return world.failed_writes > 0;
}

template <int Status>
void strike_status(FaultWorld& world, unsigned times)
{
    world.registry->script("/blobs/", Fault{.status = Status}, times);
}

template <int Code>
void strike_writes(FaultWorld& world, unsigned /*times*/)
{
    world.fail_writes(Code);
}

FaultRow answer(
    std::string_view name,
    std::string_view meaning,
    void (*strike)(FaultWorld&, unsigned),
    Promise lasting,
    std::optional<Promise> passing
)
{
    return {name, meaning, kAlways, nullptr, strike, &mend_registry, &registry_struck, lasting, passing};
}

FaultRow disk(std::string_view name, std::string_view meaning, void (*strike)(FaultWorld&, unsigned), Promise lasting)
{
    return {name, meaning, kAlways, nullptr, strike, &mend_writes, &write_struck, lasting, std::nullopt};
}

void add_network_rows(std::vector<FaultRow>& rows)
{
    rows.push_back(
        {"DNS silent",
         "no name server answers",
         {Moment::kOpen},
         nullptr,
         [](FaultWorld& world, unsigned) { world.silent_names.emplace(); },
         [](FaultWorld& world) { world.silent_names.reset(); },
         [](const FaultWorld&) { return SilentNames::asked() > 0; },
         kWaitsInVain,
         std::nullopt}
    );
    rows.push_back(
        {"connection refused",
         "the registry is gone, and nobody listens on its port",
         kAlways,
         nullptr,
         [](FaultWorld& world, unsigned) { world.take_registry_away(); },
         [](FaultWorld& world) { world.bring_registry_back(); },
         [](const FaultWorld& world) { return !world.registry; },
         kWaitsInVain,
         std::nullopt}
    );
    rows.push_back(
        {"black hole",
         "packets to the registry are lost",
         kAlways,
         nullptr,
         [](FaultWorld& world, unsigned) {
             world.take_registry_away();
             world.hole.emplace(world.port);
         },
         [](FaultWorld& world) { world.bring_registry_back(); },
         [](const FaultWorld& world) { return world.hole.has_value(); },
         kWaitsInVain,
         std::nullopt}
    );
    rows.push_back(answer(
        "TLS error",
        "storage that the registry sends us to speaks no TLS where it should",
        [](FaultWorld& world, unsigned times) {
            const auto where = "Location: https://" + world.storage->host() + "/v2/x/blobs/y";
            script(world, times, [&](FaultWorld&) { return Fault{.status = 307, .headers = {where}}; });
        },
        kTimesOut,
        kBytes
    ));
    rows.push_back(answer(
        "reset",
        "the connection is reset without an answer",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.reset = true}; });
        },
        kTimesOut,
        kBytes
    ));
    rows.push_back(answer(
        "reset after n bytes",
        "each transfer is reset after 20,000 bytes; the next one goes on behind them",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.truncate_after = 20'000, .reset_at_end = true}; });
        },
        kBytes,
        kBytes
    ));
    rows.push_back(answer(
        "trickle",
        "the body comes in pieces of 4000 bytes",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.trickle = 4000}; });
        },
        kBytes,
        kBytes
    ));
    rows.push_back(answer(
        "stall",
        "the registry takes the request and never answers",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.hold = true}; });
        },
        kWaitsInVain,
        std::nullopt
    ));
}

void add_status_rows(std::vector<FaultRow>& rows)
{
    rows.push_back(answer(
        "401", "the registry wants a login and names no way", &strike_status<401>, at_once(ErrorKind::kDenied), {}
    ));
    rows.push_back(answer("403", "the registry forbids it", &strike_status<403>, at_once(ErrorKind::kDenied), {}));
    rows.push_back(answer("404", "the blob is gone", &strike_status<404>, at_once(ErrorKind::kNotFound), {}));
    rows.push_back(answer(
        "429, come again in an hour",
        "`Retry-After: 3600`: nobody asks again before the deadline, and the log says when to",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.status = 429, .headers = {"Retry-After: 3600"}}; });
        },
        at_once(ErrorKind::kTimeout),
        std::nullopt
    ));
    rows.push_back(answer(
        "429, come again at once",
        "`Retry-After: 0`",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.status = 429, .headers = {"Retry-After: 0"}}; });
        },
        kTimesOut,
        kBytes
    ));
    rows.push_back(answer("500", "the registry has an error", &strike_status<500>, kTimesOut, kBytes));
    rows.push_back(answer("503", "the registry is overloaded", &strike_status<503>, kTimesOut, kBytes));
    rows.push_back(
        {"expired token",
         "the registry has forgotten the token that it gave",
         {Moment::kFirstRead, Moment::kMiddle},
         [](FaultWorld& world) { world.registry->require_bearer(); },
         [](FaultWorld& world, unsigned) { world.registry->revoke_tokens(); },
         [](FaultWorld&) {},
         [](const FaultWorld& world) { return world.registry->count_requests("/token") == 2; },
         kBytes,
         std::nullopt}
    );
    rows.push_back(
        {"clock jump",
         "the clock is an hour ahead at once: tokens have grown old by it",
         {Moment::kFirstRead, Moment::kMiddle},
         [](FaultWorld& world) { world.registry->require_bearer(); },
         [](FaultWorld& world, unsigned) { world.hours_ahead = 1; },
         [](FaultWorld&) {},
         [](const FaultWorld& world) { return world.registry->count_requests("/token") == 2; },
         kBytes,
         std::nullopt}
    );
}

void add_redirect_rows(std::vector<FaultRow>& rows)
{
    rows.push_back(answer(
        "redirect loop",
        "the registry sends us in circles",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld& w) {
                return Fault{
                    .status = 302, .headers = {"Location: /v2/team/app/blobs/" + w.blob.info.digest.to_string()}};
            });
        },
        at_once(ErrorKind::kInvalid, 12),
        kBytes
    ));
    rows.push_back(answer(
        "foreign redirect",
        "the registry sends us to a link-local address, which it is not in itself",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) {
                return Fault{.status = 302, .headers = {"Location: http://169.254.169.254/latest/meta-data"}};
            });
        },
        at_once(ErrorKind::kDenied),
        std::nullopt
    ));
}

void add_body_rows(std::vector<FaultRow>& rows)
{
    rows.push_back(answer(
        "200 for 206",
        "the registry ignores Range and sends all of the blob, of which ours is far from the begin",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.ignore_range = true}; });
        },
        at_once(ErrorKind::kUnsupported, 8),
        kBytes
    ));
    rows.back().mend = [](FaultWorld& world) {
        mend_registry(world);
        world.hours_ahead = 1; // what is believed of a registry is so for a second
    };
    rows.push_back(answer(
        "wrong Content-Range",
        "the answer says that it is another part of the blob",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.content_range = "bytes 1-2/3"}; });
        },
        at_once(ErrorKind::kCorrupt, 6),
        kBytes
    ));
    rows.push_back(answer(
        "short body",
        "the body ends after 100 bytes, with the connection",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.truncate_after = 100}; });
        },
        kTimesOut,
        kBytes
    ));
    rows.push_back(answer(
        "long body",
        "5000 bytes more than asked for: the right part is used, the connection is dropped",
        [](FaultWorld& world, unsigned times) {
            script(world, times, [](FaultWorld&) { return Fault{.extra = 5000}; });
        },
        kBytes,
        kBytes
    ));
    const auto flip = [](FaultWorld& world, unsigned times) {
        script(world, times, [](FaultWorld&) { return Fault{.flip_at = 10}; });
    };
    auto block =
        answer("corrupt block", "one byte of the data is wrong", flip, at_once(ErrorKind::kCorrupt, 6), kBytes);
    block.moments = kReads;
    rows.push_back(std::move(block));
    auto tree =
        answer("corrupt tree", "one byte of the hash tree is wrong", flip, at_once(ErrorKind::kCorrupt, 6), kBytes);
    tree.moments = {Moment::kOpen};
    rows.push_back(std::move(tree));
}

void add_local_rows(std::vector<FaultRow>& rows)
{
    rows.push_back(
        disk("disk full", "each write fails with ENOSPC", &strike_writes<ENOSPC>, at_once(ErrorKind::kNoSpace))
    );
    rows.push_back(disk("EIO on write", "each write fails with EIO", &strike_writes<EIO>, at_once(ErrorKind::kInternal))
    );
    rows.push_back(
        disk("read-only disk", "each write fails with EROFS", &strike_writes<EROFS>, at_once(ErrorKind::kInternal))
    );
    rows.push_back(
        {"no descriptors (EMFILE)",
         "the process may open no further connection",
         kReads,
         nullptr,
         [](FaultWorld& world, unsigned) {
             world.bring_registry_back();
             world.no_descriptors.emplace();
         },
         [](FaultWorld& world) { world.no_descriptors.reset(); },
         [](const FaultWorld& world) { return world.no_descriptors && world.registry->requests().empty(); },
         kWaitsInVain,
         std::nullopt}
    );
    rows.push_back(
        {"no memory in the pool",
         "all buffers are in use elsewhere, and none comes back",
         kReads,
         nullptr,
         [](FaultWorld& world, unsigned) {
             while (auto buffer = world.buffers.try_take()) {
                 world.hoard.push_back(std::move(*buffer));
             }
         },
         [](FaultWorld& world) { world.hoard.clear(); },
         [](const FaultWorld& world) { return !world.hoard.empty(); },
         kWaitsInVain,
         std::nullopt}
    );
}

} // namespace

const std::vector<FaultRow>& fault_table()
{
    static const auto table = [] {
        std::vector<FaultRow> rows;
        add_network_rows(rows);
        add_status_rows(rows);
        add_redirect_rows(rows);
        add_body_rows(rows);
        add_local_rows(rows);
        return rows;
    }();
    return table;
}

} // namespace sluice::test
