// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace sluice::cache {

/// The six limits of cachefilesd.conf, per cent of the whole file system; run > cull > stop in each
/// triple.
struct SpaceLimits {
    unsigned brun = 7;  ///< free blocks: above it culling ends
    unsigned bcull = 5; ///< below it culling begins
    unsigned bstop = 1; ///< below it nothing more is stored
    unsigned frun = 7;  ///< the same for free inodes
    unsigned fcull = 5;
    unsigned fstop = 1;
};

enum class SpaceLevel : std::uint8_t { kAmple, kBelowRun, kCull, kStop };

/// What statfs says of the cache's file system.
struct SpaceFigures {
    std::uint64_t block_size = 0; ///< bytes
    std::uint64_t blocks = 0;
    std::uint64_t blocks_available = 0; ///< to us: without the superuser's reserve
    std::uint64_t files = 0;            ///< 0 where the file system does not count inodes (btrfs): no limit then
    std::uint64_t files_free = 0;

    [[nodiscard]] std::uint64_t bytes_available() const noexcept { return blocks_available * block_size; }

    /// The worse of blocks and inodes, reckoned as the kernel does: whole hundredths of the file
    /// system.
    [[nodiscard]] SpaceLevel level(const SpaceLimits& limits) const noexcept;

    /// Bytes that can still be stored before `bstop` is reached.
    [[nodiscard]] std::uint64_t bytes_before_stop(const SpaceLimits& limits) const noexcept;
};

/// The directory that holds the kernel's cache and, beside it in `sluice/`, what is ours: mode
/// 0700, a lock, the database, hash trees. Held by one daemon at a time; the lock ends with the
/// object. Thread-safe but for construction and moves.
class CacheDir {
public:
    /// `root` must exist, belong to us, and not be writable for others. Makes the layout where it
    /// is missing. kTransient with the holder's process id in the text when another sluiced has the
    /// lock. On the disk the lock file says "in use" then, until note() says something else.
    [[nodiscard]] static Result<CacheDir> open(const std::filesystem::path& root);

    [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }

    [[nodiscard]] std::filesystem::path own() const { return root_ / "sluice"; }

    [[nodiscard]] std::filesystem::path database() const { return own() / "sluice.db"; }

    [[nodiscard]] std::filesystem::path trees() const { return own() / "trees"; }

    [[nodiscard]] std::filesystem::path prefill() const { return own() / "prefill"; }

    [[nodiscard]] Result<SpaceFigures> space() const;

    /// What the last holder noted; "in use" when it noted nothing, and empty when that cannot be known: a new
    /// directory, or a copy of the file that somebody has made.
    [[nodiscard]] const std::string& last_note() const noexcept { return last_note_; }

    /// Leaves a short note for the next holder, durably: after a power cut there is either the old one or this one.
    /// Blocks for the disk.
    [[nodiscard]] Result<void> note(std::string_view text) const;

    /// Returns when all that was written to the cache's file system is on the disk. This may take minutes.
    [[nodiscard]] Result<void> sync() const;

private:
    CacheDir(std::filesystem::path root, UniqueFd root_fd, UniqueFd lock);

    std::filesystem::path root_;
    UniqueFd root_fd_;
    UniqueFd lock_;
    std::string last_note_;
};

} // namespace sluice::cache
