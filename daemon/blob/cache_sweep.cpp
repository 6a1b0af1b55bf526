// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/cache_sweep.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <optional>
#include <utility>

namespace sluice::daemon {

namespace fs = std::filesystem;
using protocol::HygieneReport;

namespace {

struct Listing {
    std::vector<fs::path> paths;
    HygieneReport report;
};

/// False when not all could be listed.
bool tell(const HygieneReport& report)
{
    for (const auto& text : report.problems) {
        log::warning("{}", text);
    }
    return report.problems.empty();
}

} // namespace

CacheSweep::CacheSweep(EventLoop& loop, WorkerPool& workers, protocol::Hygiene hygiene)
    : loop_{loop}, workers_{workers}, hygiene_{std::move(hygiene)}, looking_{loop}, tasks_{loop}
{}

void CacheSweep::start()
{
    tasks_.spawn(sweep());
}

Task<void> CacheSweep::sweep()
{
    auto list = [hygiene = hygiene_] {
        Listing listing;
        listing.paths = hygiene.directories(listing.report);
        return listing;
    };
    const auto listed = co_await workers_.run(loop_, std::move(list), Urgency::kBackground);
    bool is_complete = tell(listed.report);
    for (const auto& directory : listed.paths) {
        const bool all = co_await sweep_directory(directory);
        is_complete = is_complete && all;
    }
    if (!is_complete) {
        co_return; // what is in there is looked at when it is opened, and by the next start
    }
    is_over_ = true;
    std::erase_if(known_, [](const auto& entry) { return entry.second == State::kSound; });
    log::info("looked at {} cached blobs after a stop that was not clean; {} bytes are holes again", looked_, punched_);
}

Task<bool> CacheSweep::sweep_directory(fs::path directory)
{
    auto list = [directory] {
        Listing listing;
        listing.paths = protocol::Hygiene::files(directory, listing.report);
        return listing;
    };
    const auto listed = co_await workers_.run(loop_, std::move(list), Urgency::kBackground);
    for (const auto& file : listed.paths) {
        if (!known_.contains(file.string())) {
            co_await sweep_file(file);
        }
    }
    co_return tell(listed.report);
}

Task<void> CacheSweep::sweep_file(fs::path file)
{
    const auto current = std::make_shared<Current>();
    current->file = std::move(file);
    current_ = current;
    auto job = [current]() -> std::optional<HygieneReport> {
        if (current->is_taken.exchange(true)) {
            return std::nullopt;
        }
        return protocol::Hygiene::look(current->file);
    };
    auto report = co_await workers_.run(loop_, std::move(job), Urgency::kBackground);
    current_.reset();
    if (report) {
        (void)take_in(current->file, std::move(*report));
    }
    for (const auto& waiter : current->waiters) {
        waiter.set(true);
    }
}

bool CacheSweep::is_sound(const fs::path& file) const
{
    const auto known = known_.find(file.string());
    return known == known_.end() ? is_over_ : known->second == State::kSound;
}

bool CacheSweep::is_all_sound() const
{
    return is_over_ &&
           std::all_of(known_.begin(), known_.end(), [](const auto& entry) { return entry.second == State::kSound; });
}

Task<Result<void>> CacheSweep::look(fs::path file)
{
    auto start = [this, file] { return look_first(file); };
    auto name = file.string();
    auto looked = co_await looking_.run(std::move(name), std::move(start));
    co_return looked;
}

Task<Result<void>> CacheSweep::look_first(fs::path file)
{
    if (is_sound(file)) {
        co_return Result<void>{};
    }
    known_[file.string()] = State::kBeingLookedAt;
    if (const auto current = current_; current && current->file == file && current->is_taken.exchange(true)) {
        const OneShot<bool> ended{loop_};
        current->waiters.push_back(ended.setter());
        co_await ended;
        if (is_sound(file)) { // what is known of it is forgotten once the sweep is over
            co_return Result<void>{};
        }
    }
    auto job = [file] { return protocol::Hygiene::look(file); };
    auto report = co_await workers_.run(loop_, std::move(job));
    co_return take_in(file, std::move(report));
}

Result<void> CacheSweep::take_in(const fs::path& file, HygieneReport report)
{
    ++looked_;
    punched_ += report.punched;
    for (const auto& path : report.removed) {
        log::warning("removed {}: a crash has left it without a valid attribute", path.string());
    }
    const auto known = known_.find(file.string());
    if (report.problems.empty()) {
        if (known != known_.end()) {
            known->second = State::kSound;
        }
        return {};
    }
    const auto why =
        fmt::format("cannot put it in order after a stop that was not clean: {}", fmt::join(report.problems, "; "));
    known_[file.string()] = State::kUnsound;
    if (told_.insert(file.string()).second) {
        log::warning("{}; it is tried again when the blob is opened", why);
    }
    return fail(ErrorKind::kTransient, why, EIO);
}

} // namespace sluice::daemon
