// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cache/cache_dir.hpp"

#include <cstdint>
#include <string>

namespace sluice::daemon {

/// Empty when the kernel does not tell.
[[nodiscard]] std::string this_boot();

/// Whether the last daemon left the cache in order, and the note that tells the next one. docs/kernel-notes.md, "After
/// a stop that was not clean", has why the note cannot lie. To be made before anything writes to the cache, and
/// destroyed after all who write are gone.
class CleanStop {
public:
    /// `boot` names the time since the machine was started.
    explicit CleanStop(const cache::CacheDir& dir, std::string boot = this_boot());
    CleanStop(const CleanStop&) = delete;
    CleanStop& operator=(const CleanStop&) = delete;

    /// Does what the last of the calls below has asked for; without one the note stays "in use".
    ~CleanStop();

    /// False when files may be half made, or blocks allocated and not written.
    [[nodiscard]] bool was_clean() const noexcept { return was_clean_; }

    /// The daemon stops, and all files are in order: the destructor has everything on the disk, which may take minutes,
    /// and then says so.
    void finish() noexcept { end_ = End::kFinish; }

    /// A successor takes over at once, and all files are in order: nothing waits for the disk. The note is worth
    /// something in this boot only, because a power cut takes what is in memory.
    void hand_over() noexcept { end_ = End::kHandOver; }

private:
    enum class End : std::uint8_t { kUnclean, kFinish, kHandOver };

    const cache::CacheDir& dir_;
    std::string boot_;
    bool was_clean_;
    End end_ = End::kUnclean;
};

} // namespace sluice::daemon
