// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/culler.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <fmt/format.h>
#include <utility>

namespace sluice::daemon {

namespace {

constexpr milliseconds kCheckEvery{10'000}; ///< others write to the disk, too
constexpr milliseconds kBetweenChecks{1'000};

/// Who was refused wants to go on for a while.
constexpr std::uint64_t kLeastRoom = std::uint64_t{16} << 20;

/// How many sizes the index takes in within one turn of the loop.
constexpr std::size_t kSizesATurn = 1000;

/// The quota is looked at again after this part of it was written.
constexpr std::uint64_t kQuotaParts = 64;

cache::WallTime wall_now()
{
    return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

} // namespace

RoomNeeded
room_needed(const std::optional<protocol::Space::Figures>& space, std::uint64_t kept, std::uint64_t quota) noexcept
{
    RoomNeeded needed;
    if (space && space->level == protocol::SpaceLevel::kBelowCull) {
        needed = {space->bytes_to_run, space->files_to_run};
    }
    if (quota != 0 && kept > quota) {
        needed.bytes = std::max(needed.bytes, kept - quota / 8 * 7);
    }
    return needed;
}

Culler::Culler(Parts parts)
    : parts_{std::move(parts)}
    , self_{std::make_shared<Culler*>(this)}
    , again_{parts_.loop, [this] { check_soon(); }, "culler: check"}
    , finding_{parts_.loop}
    , relieving_{parts_.loop}
    , culling_{parts_.loop}
    , tasks_{parts_.loop}
{}

Culler::~Culler() = default;

void Culler::start()
{
    const auto is_posted = std::make_shared<std::atomic<bool>>(false);
    parts_.space.watch([&loop = parts_.loop, has_quota = parts_.quota != 0, weak = std::weak_ptr{self_}, is_posted](
                           protocol::SpaceLevel level
                       ) {
        if ((level == protocol::SpaceLevel::kBelowCull || has_quota) && !is_posted->exchange(true)) {
            loop.post([weak, is_posted, level] {
                is_posted->store(false);
                if (const auto self = weak.lock()) {
                    (*self)->on_space(level);
                }
            });
        }
    });
    check_soon();
}

void Culler::on_space(protocol::SpaceLevel level)
{
    const auto written = parts_.counters.bytes_written - written_at_check_;
    const bool may_pass_quota = parts_.quota != 0 && written >= parts_.quota / kQuotaParts;
    if (level == protocol::SpaceLevel::kBelowCull || may_pass_quota) {
        check_soon();
    }
}

void Culler::note_end_of_use()
{
    if (is_wanting_) {
        check_soon();
    } else {
        on_space(protocol::SpaceLevel::kAmple);
    }
}

void Culler::check_soon()
{
    if (is_checking_) {
        is_to_check_again_ = true; // it may have looked already
        return;
    }
    const auto earliest = checked_ + kBetweenChecks;
    if (SteadyClock::now() < earliest) {
        again_.arm_at(earliest + milliseconds{1}); // firing a little late keeps it from doing so twice
        return;
    }
    is_checking_ = true;
    tasks_.spawn(check());
}

Task<void> Culler::check()
{
    written_at_check_ = parts_.counters.bytes_written;
    auto start = [this] { return relieve(false); };
    const auto relieved = co_await relieving_.run(false, std::move(start));
    if (!relieved && !std::exchange(has_told_of_none_, true)) {
        log::warning("{}", relieved.error().text());
    }
    has_told_of_none_ = has_told_of_none_ && !relieved;
    is_wanting_ = !relieved;
    checked_ = SteadyClock::now();
    is_checking_ = false;
    again_.arm(std::exchange(is_to_check_again_, false) ? kBetweenChecks : kCheckEvery);
}

Task<Result<void>> Culler::find_all()
{
    auto walk = [files = parts_.files] { return files.find_all(); };
    const auto found = co_await parts_.workers.run(parts_.loop, std::move(walk), Urgency::kBackground);
    std::size_t taken = 0;
    for (const auto& size : found) {
        const auto remembered = parts_.last_uses.find(size.identity);
        parts_.index.measured(
            size.identity, size.bytes, remembered == parts_.last_uses.end() ? size.last_use : remembered->second
        );
        if (++taken % kSizesATurn == 0) {
            co_await sleep_for(parts_.loop, milliseconds{1});
        }
    }
    parts_.last_uses.clear();
    is_all_found_ = true;
    co_return Result<void>{};
}

Task<Result<std::uint64_t>> Culler::measure()
{
    if (!is_all_found_) {
        auto start = [this] { return find_all(); };
        (void)co_await finding_.run(0, std::move(start));
    }

    struct Measured {
        std::vector<CacheFiles::Size> blobs;
        std::uint64_t others = 0;
    };

    auto job = [files = parts_.files, changed = parts_.index.to_measure()] {
        Measured measured;
        for (const auto& identity : changed) {
            measured.blobs.push_back(files.measure(identity));
        }
        measured.others = files.other_bytes();
        return measured;
    };
    const auto measured = co_await parts_.workers.run(parts_.loop, std::move(job), Urgency::kReadahead);
    for (const auto& size : measured.blobs) {
        parts_.index.measured(size.identity, size.bytes, size.last_use);
    }
    co_return measured.others;
}

Task<Result<void>> Culler::relieve(bool is_urgent)
{
    const auto others = co_await measure();
    auto look = [&space = parts_.space] { return space.look(); };
    const auto space = co_await parts_.workers.run(parts_.loop, std::move(look), Urgency::kReadahead);
    const auto kept = parts_.index.bytes() + others.value_or(0);
    auto needed = room_needed(space, kept, parts_.quota);
    if (is_urgent) {
        needed.bytes = std::max({needed.bytes, kLeastRoom, space ? space->bytes_to_run : 0});
        needed.files = std::max<std::uint64_t>(needed.files, space ? space->files_to_run : 0);
    }
    if (needed.none()) {
        co_return Result<void>{};
    }
    const auto report = co_await remove_some(needed);
    if (report.files > 0) {
        log::info(
            "removed {} blobs, {}, from the cache: {}; {} are kept",
            report.files,
            format_size(report.bytes),
            is_urgent                                                   ? "the disk was full"
            : space && space->level == protocol::SpaceLevel::kBelowCull ? "free space was below bcull or fcull"
                                                                        : "it had passed its quota",
            format_size(kept - std::min(kept, report.bytes))
        );
        co_return Result<void>{};
    }
    co_return fail(
        ErrorKind::kNoSpace,
        fmt::format(
            "the cache needs room for {} and {} files, and nothing can be removed: {} are cached, and all of it is in "
            "use; unmount images, or make the disk larger",
            format_size(needed.bytes),
            needed.files,
            format_size(kept)
        ),
        ENOSPC
    );
}

Task<Result<void>> Culler::make_room()
{
    auto start = [this] { return relieve(true); };
    auto made = co_await relieving_.run(true, std::move(start));
    co_return made;
}

Task<Result<Culler::Report>> Culler::cull(Request request)
{
    // Not in the asker's task: it would end in the middle of a removal when the asker goes.
    auto start = [this, wanted = std::move(request)] { return cull_now(wanted); };
    auto report = co_await culling_.run(++culls_begun_, std::move(start));
    co_return report;
}

Task<Result<Culler::Report>> Culler::cull_now(Request request)
{
    const auto others = co_await measure();
    auto look = [&space = parts_.space] { return space.look(); };
    const auto space = co_await parts_.workers.run(parts_.loop, std::move(look));
    const auto kept = parts_.index.bytes() + others.value_or(0);
    auto needed = room_needed(space, kept, parts_.quota);
    if (request.keep_at_most) {
        needed = {kept - std::min(kept, *request.keep_at_most), 0};
    }
    Report report;
    if (request.dry_run) {
        report = what_would_go(needed, request.only);
    } else if (request.only) {
        report = co_await remove_these(std::move(*request.only));
    } else {
        report = co_await remove_some(needed);
    }
    report.kept = kept - std::min(kept, report.bytes);
    if (report.files > 0 && !request.dry_run) {
        log::info(
            "removed {} blobs, {}, from the cache, as the operator wants; {} are kept",
            report.files,
            format_size(report.bytes),
            format_size(report.kept)
        );
    }
    co_return report;
}

Culler::Report Culler::what_would_go(RoomNeeded needed, const std::optional<std::vector<Digest>>& only) const
{
    Report report;
    const auto& entries = parts_.index.entries();
    for (const auto& identity : only ? *only : parts_.index.order()) {
        if (!only && report.bytes >= needed.bytes && report.files >= needed.files) {
            break;
        }
        if (parts_.index.can_go(identity)) {
            ++report.files;
            report.bytes += entries.at(identity).bytes;
        }
    }
    return report;
}

Task<Culler::Report> Culler::remove_some(RoomNeeded needed)
{
    Report report;
    // Those that are busy come back behind all others: each gets one chance.
    for (auto chances = parts_.index.count_that_can_go(); chances > 0; --chances) {
        const auto victim = parts_.index.next();
        if (!victim || (report.bytes >= needed.bytes && report.files >= needed.files)) {
            break;
        }
        const auto removed = co_await remove_one(*victim, report);
        if (!removed) {
            log::warning("{}", removed.error().text());
            break;
        }
    }
    co_return report;
}

Task<Culler::Report> Culler::remove_these(std::vector<Digest> identities)
{
    Report report;
    for (const auto& identity : identities) {
        if (!parts_.index.can_go(identity)) {
            continue;
        }
        const auto removed = co_await remove_one(identity, report);
        if (!removed) {
            log::warning("{}", removed.error().text());
            break;
        }
    }
    co_return report;
}

Culler::Removed Culler::remove_on_disk(const Digest& identity) const
{
    const auto size = parts_.files.measure(identity);
    Removed removed{parts_.remove(parts_.files.data_of(identity)), size.bytes};
    if (removed.outcome && parts_.trees != nullptr) {
        removed.outcome = parts_.trees->remove(identity);
    }
    return removed;
}

Task<Result<void>> Culler::remove_one(Digest identity, Report& report)
{
    auto& index = parts_.index;
    assert(index.can_go(identity));
    index.begin_use(identity); // nobody else removes it meanwhile
    parts_.removals.begin(identity);
    auto job = [this, identity] { return remove_on_disk(identity); };
    const auto removed = co_await thread_.run(parts_.loop, std::move(job));
    parts_.removals.end(identity);
    if (removed.outcome) {
        index.measured(identity, 0, {});
        ++report.files;
        report.bytes += removed.bytes;
        ++parts_.counters.blobs_culled;
        parts_.counters.bytes_culled += removed.bytes;
        if (parts_.removed) {
            parts_.removed(identity);
        }
    }
    index.end_use(identity, {});
    if (!removed.outcome && removed.outcome.error().code() == EBUSY) {
        index.put_off(identity, wall_now());
        ++report.busy;
        co_return Result<void>{};
    }
    co_return removed.outcome;
}

} // namespace sluice::daemon
