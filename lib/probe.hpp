// SPDX-License-Identifier: Apache-2.0
//
// The kernel's hole probing over any file that can seek: the pure part of sluice.h, and what the
// tests drive with models. Keeps no state and never throws.
#pragma once

#include "lib/sluice.h"

#include <cstdint>

namespace sluice::lib {

enum class Seek : std::uint8_t { kData, kHole };

/// lseek() as the kernel sees it: the offset found, or a negative errno.
using SeekFunction = std::int64_t (*)(void* file, Seek what, std::int64_t from);

/// What is probed. `seek` null means that there is no file.
struct ProbedFile {
    SeekFunction seek = nullptr;
    void* file = nullptr;
    std::uint32_t block_size = 4096; ///< a power of two
};

struct ProbeRequest {
    std::int64_t start = 0;
    std::uint64_t len = 0; ///< bytes; in and out
    std::int64_t i_size = 0;
    unsigned long flags = 0; ///< in and out
    bool no_data_to_read = false;
    int (*request)(void* ctx, std::uint64_t start, std::uint64_t len) = nullptr;
    void* ctx = nullptr;
    sluice_why why = SLUICE_WHY_BAD_ARGUMENT; ///< out
};

/// sluice_prepare_ondemand_read() without the descriptor. Thread-safe as `seek` and `request` are.
[[nodiscard]] sluice_source prepare_ondemand_read(const ProbedFile& file, ProbeRequest& probe);

struct Occupancy {
    int error = 0; ///< 0 or a negative errno
    std::int64_t start = -1;
    std::uint64_t len = 0;
};

/// sluice_query_occupancy() without the descriptor.
[[nodiscard]] Occupancy
query_occupancy(const ProbedFile& file, std::int64_t start, std::uint64_t len, std::uint64_t granularity);

} // namespace sluice::lib
