// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace sluice::protocol {

struct HygieneReport {
    std::vector<std::filesystem::path> removed; ///< cache files and volume directories without a valid attribute
    std::size_t kept = 0;                       ///< cache files that are in order
    std::uint64_t punched = 0;                  ///< bytes that were allocated but never written; holes now
    std::vector<std::string> problems;          ///< what could not be read or removed

    void add(HygieneReport other);
};

/// Puts a cache in order that a crash may have left half made. Blocking: for workers, or before the loop runs.
/// Thread-safe. What is absent is in order.
class Hygiene {
public:
    /// `private_dir` is where new files are made before they have their name.
    Hygiene(std::filesystem::path cache_dir, std::filesystem::path private_dir)
        : cache_dir_{std::move(cache_dir)}, private_dir_{std::move(private_dir)}
    {}

    /// Before anything is served: moves volume directories whose attribute is missing or wrong to the graveyard, as all
    /// mounts of the volume would fail, and removes files that never got their name. Looks at no cache file. Safe under
    /// a bound kernel: what could be a volume that it is making at this moment, an empty one without attribute, gets
    /// the attribute.
    [[nodiscard]] HygieneReport make_mountable() const;

    /// The directories that hold cache files, of sound volumes.
    [[nodiscard]] std::vector<std::filesystem::path> directories(HygieneReport& report) const;

    /// What is in one of those.
    [[nodiscard]] static std::vector<std::filesystem::path>
    files(const std::filesystem::path& directory, HygieneReport& report);

    /// Removes the cache file when its attribute is missing or wrong: each mount of the blob would fail. What a crash
    /// has kept from being written becomes a hole again, because the kernel takes it for data as soon as somebody's
    /// readahead has put its zeros into memory. While nobody writes to the file; who has it open otherwise is no
    /// matter, and neither is a bound kernel, which sets a file's attribute before it links it.
    [[nodiscard]] static HygieneReport look(const std::filesystem::path& file);

    /// Deletes what was moved there.
    [[nodiscard]] HygieneReport empty_graveyard() const;

private:
    std::filesystem::path cache_dir_;
    std::filesystem::path private_dir_;
};

} // namespace sluice::protocol
