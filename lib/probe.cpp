// SPDX-License-Identifier: Apache-2.0
#include "lib/probe.hpp"

#include <cerrno>
#include <limits>

namespace sluice::lib {
namespace {

constexpr std::int64_t kMaxOffset = std::numeric_limits<std::int64_t>::max();

constexpr bool is_power_of_two(std::uint64_t value) noexcept
{
    return value != 0 && (value & (value - 1)) == 0;
}

// In unsigned arithmetic, where no sum of an offset and a block size overflows.
constexpr std::uint64_t round_down(std::int64_t offset, std::uint64_t grain) noexcept
{
    return static_cast<std::uint64_t>(offset) & ~(grain - 1);
}

constexpr std::uint64_t round_up(std::int64_t offset, std::uint64_t grain) noexcept
{
    return (static_cast<std::uint64_t>(offset) + grain - 1) & ~(grain - 1);
}

enum class Look : std::uint8_t { kHit, kMiss, kUnknown, kUseless };

/// One look at the file from probe.start on: trims probe.len to the run that begins there, and sets
/// the reason.
Look look(const ProbedFile& file, ProbeRequest& probe)
{
    const auto start = static_cast<std::uint64_t>(probe.start);
    const std::uint64_t end = start + probe.len;

    const std::int64_t data = file.seek(file.file, Seek::kData, probe.start);
    if (data == -ENXIO) {
        probe.why = SLUICE_WHY_SEEK_NXIO;
        return Look::kMiss;
    }
    if (data < probe.start) { // an error, or a file system that seeks backwards
        probe.why = SLUICE_WHY_SEEK_ERROR;
        return Look::kUnknown;
    }
    if (static_cast<std::uint64_t>(data) >= end) {
        probe.why = SLUICE_WHY_FOUND_HOLE;
        return Look::kMiss;
    }
    if (data > probe.start) {
        const std::uint64_t hole_end = round_up(data, file.block_size);
        probe.len = (hole_end < end ? hole_end : end) - start;
        probe.why = SLUICE_WHY_FOUND_PART;
        return Look::kMiss;
    }

    const std::int64_t hole = file.seek(file.file, Seek::kHole, probe.start);
    if (hole < probe.start) { // ENXIO too: the file shrank in between
        probe.why = SLUICE_WHY_SEEK_ERROR;
        return Look::kUnknown;
    }
    if (static_cast<std::uint64_t>(hole) < end) {
        // The last block of a file may end anywhere; elsewhere a part of a block is somebody's
        // unfinished write.
        const bool at_eof = end >= static_cast<std::uint64_t>(probe.i_size);
        std::uint64_t data_end = at_eof ? round_up(hole, file.block_size) : round_down(hole, file.block_size);
        data_end = data_end < end ? data_end : end;
        if (data_end <= start) {
            probe.len = 0;
            probe.why = SLUICE_WHY_PART_OF_BLOCK;
            return Look::kUseless;
        }
        probe.len = data_end - start;
    }
    probe.why = SLUICE_WHY_HAVE_DATA;
    return Look::kHit;
}

bool makes_sense(const ProbedFile& file, const ProbeRequest& probe)
{
    return probe.start >= 0 && is_power_of_two(file.block_size) && (probe.len != 0 || probe.start >= probe.i_size);
}

} // namespace

sluice_source prepare_ondemand_read(const ProbedFile& file, ProbeRequest& probe)
{
    if (!makes_sense(file, probe)) {
        probe.why = SLUICE_WHY_BAD_ARGUMENT;
        return SLUICE_INVALID_READ;
    }
    if (probe.start >= probe.i_size) {
        probe.why = SLUICE_WHY_AFTER_EOF;
        return SLUICE_FILL_WITH_ZEROES;
    }
    if (probe.no_data_to_read) {
        probe.flags |= SLUICE_SREQ_COPY_TO_CACHE;
        probe.why = SLUICE_WHY_NO_DATA;
        if ((probe.flags & SLUICE_SREQ_ONDEMAND) == 0) {
            return SLUICE_DOWNLOAD_FROM_SERVER;
        }
    }
    if (file.seek == nullptr) {
        probe.why = SLUICE_WHY_NO_FILE;
        return SLUICE_DOWNLOAD_FROM_SERVER;
    }
    if (const auto room = static_cast<std::uint64_t>(kMaxOffset - probe.start); probe.len > room) {
        probe.len = room;
    }

    for (;;) {
        switch (look(file, probe)) {
        case Look::kHit:
            return SLUICE_READ_FROM_CACHE;
        case Look::kUnknown:
            return SLUICE_DOWNLOAD_FROM_SERVER;
        case Look::kUseless:
            return SLUICE_INVALID_READ;
        case Look::kMiss:
            break;
        }
        probe.flags |= SLUICE_SREQ_COPY_TO_CACHE;
        if ((probe.flags & SLUICE_SREQ_ONDEMAND) == 0) {
            return SLUICE_DOWNLOAD_FROM_SERVER;
        }
        if (probe.request != nullptr &&
            probe.request(probe.ctx, static_cast<std::uint64_t>(probe.start), probe.len) != 0) {
            return SLUICE_INVALID_READ;
        }
        probe.flags &= ~SLUICE_SREQ_ONDEMAND; // so that there is one request a call at most
    }
}

Occupancy query_occupancy(const ProbedFile& file, std::int64_t start, std::uint64_t len, std::uint64_t granularity)
{
    if (start < 0 || !is_power_of_two(file.block_size) || (granularity != 0 && !is_power_of_two(granularity))) {
        return {.error = -EINVAL};
    }
    if (file.seek == nullptr) {
        return {.error = -ENOBUFS};
    }
    const std::uint64_t grain = granularity > file.block_size ? granularity : file.block_size;
    const auto room = static_cast<std::uint64_t>(kMaxOffset - start);
    const std::uint64_t end = static_cast<std::uint64_t>(start) + (len < room ? len : room);

    const std::int64_t data = file.seek(file.file, Seek::kData, start);
    if (data < start) {
        return {.error = data == -ENXIO ? -ENODATA : -ENOBUFS};
    }
    const std::uint64_t begin = round_up(data, grain);
    if (begin >= end) {
        return {.error = -ENODATA};
    }
    const std::int64_t hole = file.seek(file.file, Seek::kHole, data);
    if (hole < data) {
        return {.error = hole == -ENXIO ? -ENODATA : -ENOBUFS};
    }
    const std::uint64_t data_end = round_down(hole, grain);
    if (data_end <= begin) {
        return {.error = -ENODATA};
    }
    return {.start = static_cast<std::int64_t>(begin), .len = (data_end < end ? data_end : end) - begin};
}

} // namespace sluice::lib
