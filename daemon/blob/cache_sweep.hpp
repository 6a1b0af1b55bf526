// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/single_flight.hpp"
#include "base/worker_pool.hpp"
#include "protocol/hygiene.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace sluice::daemon {

/// After a stop that was not clean: has workers look at all cache files while the daemon serves, one after the other.
/// Whoever is going to open a file asks for it first, and it is looked at before all others. No file is looked at once
/// somebody may write to it. Loop thread only.
class CacheSweep {
public:
    CacheSweep(EventLoop& loop, WorkerPool& workers, protocol::Hygiene hygiene);
    CacheSweep(const CacheSweep&) = delete;
    CacheSweep& operator=(const CacheSweep&) = delete;
    ~CacheSweep() = default;

    void start();

    /// Ends when the file has been looked at, whether it was there or not. An error when it could not be put in order:
    /// it must not be opened then. The next call tries again.
    [[nodiscard]] Task<Result<void>> look(std::filesystem::path file);

    /// Whether there is nothing to wait for before this file is opened.
    [[nodiscard]] bool is_sound(const std::filesystem::path& file) const;

    /// Whether all files were looked at and are in order.
    [[nodiscard]] bool is_all_sound() const;

    /// How many files were looked at.
    [[nodiscard]] std::size_t looked() const noexcept { return looked_; }

private:
    enum class State : std::uint8_t { kBeingLookedAt, kSound, kUnsound };

    /// What the sweep is at. A worker or look() takes it, whichever comes first.
    struct Current {
        std::filesystem::path file;
        std::atomic<bool> is_taken = false;
        std::vector<OneShot<bool>::Setter> waiters;
    };

    Task<void> sweep();
    Task<bool> sweep_directory(std::filesystem::path directory);
    Task<void> sweep_file(std::filesystem::path file);
    Task<Result<void>> look_first(std::filesystem::path file);
    Result<void> take_in(const std::filesystem::path& file, protocol::HygieneReport report);

    EventLoop& loop_;
    WorkerPool& workers_;
    protocol::Hygiene hygiene_;
    std::map<std::string, State>
        known_;                  ///< looked at for somebody who opens them, or unsound: not the sweep's any more
    std::set<std::string> told_; ///< whose problems were logged
    std::shared_ptr<Current> current_;
    std::size_t looked_ = 0;
    std::uint64_t punched_ = 0;
    bool is_over_ = false;
    SingleFlight<std::string, Result<void>> looking_;
    TaskScope tasks_; // last, as the one above: their tasks touch all of it
};

} // namespace sluice::daemon
