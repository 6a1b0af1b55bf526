// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "cache/records.hpp"
#include "daemon/blob/fill_services.hpp"

#include <cstdint>
#include <filesystem>
#include <vector>

namespace sluice::daemon {

/// What lies in the cache directory for us, and how much of the disk it takes: in blocks, not in lengths, as most of
/// it is sparse. Files that are not ours are not seen. Blocks for the disk: for workers. Thread-safe.
class CacheFiles {
public:
    struct Size {
        Digest identity;
        std::uint64_t bytes = 0;    ///< of its data and of its hash tree; 0: nothing is there
        cache::WallTime last_use{}; ///< as far as the file system knows
    };

    /// `own` is the daemon's own directory in the cache, `trees` the one below it where hash trees are kept.
    CacheFiles(FilePlace place, std::filesystem::path own, std::filesystem::path trees)
        : place_{std::move(place)}, own_{std::move(own)}, trees_{std::move(trees)}
    {}

    [[nodiscard]] std::filesystem::path data_of(const Digest& identity) const;

    [[nodiscard]] Size measure(const Digest& identity) const;

    /// All blobs of the volume, whether an image is known that has them or not.
    [[nodiscard]] std::vector<Size> find_all() const;

    /// The database, and files that are being made.
    [[nodiscard]] std::uint64_t other_bytes() const;

private:
    FilePlace place_;
    std::filesystem::path own_;
    std::filesystem::path trees_;
};

} // namespace sluice::daemon
