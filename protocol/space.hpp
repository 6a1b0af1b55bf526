// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/mutex.hpp"
#include "base/result.hpp"
#include "protocol/command.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <sys/statvfs.h>

namespace sluice::protocol {

/// True when `fs` is below the stop limits, so that nothing more may be stored.
[[nodiscard]] bool below_stop(const struct statvfs& fs, const CacheLimits& limits) noexcept;

enum class SpaceLevel : std::uint8_t {
    kAmple,     ///< above brun and frun
    kBelowRun,  ///< what was begun to be removed goes on being removed
    kBelowCull, ///< something has to be removed
};

/// The worse of blocks and files.
[[nodiscard]] SpaceLevel space_level(const struct statvfs& fs, const CacheLimits& limits) noexcept;

/// Whether the cache's file system has room for more, by the limits `bstop` and `fstop`: every writer asks, whichever
/// front end it writes for. The file system is asked again after 16 MiB or 100 ms. Thread-safe; asks the file system,
/// so it is for workers.
class Space {
public:
    /// 0, or a negative errno.
    using Look = std::function<int(const std::string& directory, struct statvfs& into)>;

    /// `look` is statvfs(2) but for tests.
    Space(std::string directory, CacheLimits limits, Look look = {});

    /// Before writing `bytes`. kNoSpace below the limits: logged when that begins and when it ends. An unanswered
    /// statvfs(2) admits: the write itself will tell.
    [[nodiscard]] Result<void> admit(std::uint64_t bytes);

    struct Figures {
        std::uint64_t total_bytes = 0;
        std::uint64_t free_bytes = 0; ///< for us: without the superuser's reserve
        SpaceLevel level = SpaceLevel::kAmple;
        std::uint64_t bytes_to_run = 0; ///< that have to become free until brun is reached
        std::uint64_t files_to_run = 0; ///< the same for frun
    };

    /// `told` is called on each look of admit(), from whichever thread that runs on, and must not block. Before anybody
    /// writes.
    void watch(std::function<void(SpaceLevel)> told) { told_ = std::move(told); }

    /// Asks the file system now, and knows the limits from that. Nothing when there is no answer.
    std::optional<Figures> look();

    /// Whether the last look found the limits passed.
    [[nodiscard]] bool is_low() const noexcept { return low_; }

    /// A write that was admitted has failed: the file system may have allocated blocks for it that were never written.
    void note_failed_write() noexcept { has_failed_write_ = true; }

    [[nodiscard]] bool has_failed_write() const noexcept { return has_failed_write_; }

    /// Writes that were refused.
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

private:
    std::optional<Figures> look_again() SLUICE_REQUIRES(mutex_);

    const std::string directory_;
    const CacheLimits limits_;
    const Look look_;
    std::function<void(SpaceLevel)> told_;
    Mutex mutex_;
    TimePoint looked_ SLUICE_GUARDED_BY(mutex_){};
    std::uint64_t admitted_ SLUICE_GUARDED_BY(mutex_) = 0; // since then
    bool has_looked_ SLUICE_GUARDED_BY(mutex_) = false;
    std::atomic<bool> low_ = false;
    std::atomic<bool> has_failed_write_ = false;
    std::atomic<std::uint64_t> refused_ = 0;
};

} // namespace sluice::protocol
