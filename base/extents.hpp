// SPDX-License-Identifier: Apache-2.0
//
// A file's extents (FIEMAP). What lseek(2) finds is no proof of data: an extent that is allocated and not yet written
// counts as a hole for SEEK_DATA only as long as no page of it is in memory, and any reader's readahead puts one there,
// full of zeros. The extents know better. Of headers only, because libsluice includes it.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

namespace sluice {

struct Extent {
    std::uint64_t begin = 0; ///< bytes in the file
    std::uint64_t end = 0;
    bool unwritten = false; ///< allocated, and reads as zeros
    bool data = false;      ///< on the disk
};

/// `struct fiemap` without the array of no length at its end, which clang does not want to see made.
struct FiemapHead {
    std::uint64_t fm_start = 0;
    std::uint64_t fm_length = 0;
    std::uint32_t fm_flags = 0;
    std::uint32_t fm_mapped_extents = 0;
    std::uint32_t fm_extent_count = 0;
    std::uint32_t fm_reserved = 0;
};

/// Calls `visit` for the extents between `from` and `to`, in order, until it says false; the first and the last one may
/// reach further. What is dirty in memory is written before. 0 or a negative errno: -EOPNOTSUPP or -ENOTTY where
/// the file system has no such call. Blocks for the disk, and for writes to the file that are under way.
template <typename Visit>
int visit_extents(int fd, std::uint64_t from, std::uint64_t to, Visit visit)
{
    constexpr unsigned kFirst = 4;
    constexpr unsigned kAtOnce = 32;
    alignas(FiemapHead) std::array<std::byte, sizeof(FiemapHead) + kAtOnce * sizeof(fiemap_extent)> buffer;
    unsigned wanted = kFirst; // most ask about little
    while (from < to) {
        FiemapHead head;
        head.fm_start = from;
        head.fm_length = to - from;
        head.fm_flags = FIEMAP_FLAG_SYNC;
        head.fm_extent_count = wanted;
        wanted = kAtOnce;
        std::memcpy(buffer.data(), &head, sizeof head);
        if (::ioctl(fd, FS_IOC_FIEMAP, buffer.data()) != 0) { // NOLINT(cppcoreguidelines-pro-type-vararg)
            return -errno;
        }
        std::memcpy(&head, buffer.data(), sizeof head);
        const auto before = from;
        for (unsigned i = 0; i < std::min(head.fm_mapped_extents, kAtOnce); ++i) {
            fiemap_extent raw{};
            std::memcpy(&raw, buffer.data() + sizeof head + i * sizeof raw, sizeof raw);
            constexpr unsigned kNoData = FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_UNKNOWN;
            const Extent extent{
                raw.fe_logical,
                raw.fe_logical + raw.fe_length,
                (raw.fe_flags & FIEMAP_EXTENT_UNWRITTEN) != 0,
                (raw.fe_flags & kNoData) == 0};
            if (!visit(extent) || (raw.fe_flags & FIEMAP_EXTENT_LAST) != 0) {
                return 0;
            }
            from = std::max(from, extent.end);
        }
        if (from == before) {
            return 0; // nothing more up to `to`
        }
    }
    return 0;
}

} // namespace sluice
