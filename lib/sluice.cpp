// SPDX-License-Identifier: Apache-2.0
//
// The C face: descriptors, options and names.
#include "lib/sluice.h"

#include "base/extents.hpp"
#include "lib/probe.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <limits>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace {

using sluice::lib::ProbedFile;
using sluice::lib::Seek;

/// Callers of a function that never fails do not expect it to change errno either.
class KeepErrno {
public:
    KeepErrno() noexcept : saved_{errno} {}

    KeepErrno(const KeepErrno&) = delete;
    KeepErrno& operator=(const KeepErrno&) = delete;

    ~KeepErrno() { errno = saved_; }

private:
    int saved_;
};

/// What is asked, as the two ways of seeking get it.
struct Asked {
    int fd = -1;
    std::uint64_t end = 0; ///< of the range: whether there is a hole behind it makes no difference
};

std::int64_t seek_fd(void* file, Seek what, std::int64_t from)
{
    const int fd = static_cast<const Asked*>(file)->fd;
    const off64_t found = ::lseek64(fd, from, what == Seek::kData ? SEEK_DATA : SEEK_HOLE);
    return found < 0 ? -std::int64_t{errno} : found;
}

/// seek_fd() as it would be if no file had pages in memory.
std::int64_t seek_extents(void* file, Seek what, std::int64_t from)
{
    const int fd = static_cast<const Asked*>(file)->fd;
    const auto last = static_cast<const Asked*>(file)->end;

    struct stat64 info = {};

    if (::fstat64(fd, &info) != 0) {
        return -std::int64_t{errno};
    }
    if (from < 0 || from >= info.st_size) {
        return -ENXIO;
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    auto at = static_cast<std::uint64_t>(from);
    bool found = what == Seek::kHole; // there is one at the end at the latest
    const int failed = sluice::visit_extents(fd, at, size, [&](const sluice::Extent& extent) {
        if (extent.end <= at || (!extent.data && what == Seek::kData)) {
            return true;
        }
        if (what == Seek::kData) {
            at = std::max(at, extent.begin);
            found = at < size;
            return false;
        }
        const bool goes_on = extent.data && extent.begin <= at;
        at = goes_on ? extent.end : at;
        return goes_on && at < last;
    });
    if (failed == -EOPNOTSUPP || failed == -ENOTTY) {
        return seek_fd(file, what, from);
    }
    if (failed != 0) {
        return failed;
    }
    if (what == Seek::kHole) {
        // The run of data is known. ext4 makes this wait for direct writes into holes, and so for the end of one whose
        // extents are found already and whose stale pages are not yet gone.
        (void)::lseek64(fd, from, SEEK_DATA);
    }
    return found ? static_cast<std::int64_t>(std::min(at, size)) : -ENXIO;
}

std::int64_t cannot_tell(void*, Seek, std::int64_t)
{
    return -EIO;
}

ProbedFile probed_file(Asked& asked, std::uint32_t block_size, std::uint32_t cookie_flags)
{
    const int fd = asked.fd;
    if (fd < 0) {
        return {.block_size = block_size == 0 ? 4096U : block_size};
    }
    if (block_size == 0) {
        struct statfs64 about = {};
        const bool known = ::fstatfs64(fd, &about) == 0 && about.f_bsize > 0 && about.f_bsize <= (1 << 30) &&
                           (about.f_bsize & (about.f_bsize - 1)) == 0;
        if (!known) { // without blocks to round to, nothing can be said about the file
            return {.seek = cannot_tell};
        }
        block_size = static_cast<std::uint32_t>(about.f_bsize);
    }
    const bool written_only = (cookie_flags & SLUICE_COOKIE_WRITTEN_ONLY) != 0;
    return {.seek = written_only ? seek_extents : seek_fd, .file = &asked, .block_size = block_size};
}

} // namespace

enum sluice_source sluice_prepare_ondemand_read(
    int fd, int64_t start, uint64_t* len, int64_t i_size, unsigned long* flags, struct sluice_ondemand* ondemand
)
{
    const KeepErrno keep_errno;
    if (ondemand != nullptr && ondemand->struct_size < sizeof *ondemand) {
        return SLUICE_INVALID_READ; // too old to be ours: not even `why` may be written
    }
    const struct sluice_ondemand defaults = SLUICE_ONDEMAND_INIT;
    const struct sluice_ondemand& options = ondemand != nullptr ? *ondemand : defaults;
    sluice_why unused = SLUICE_WHY_BAD_ARGUMENT;
    sluice_why& why = ondemand != nullptr ? ondemand->why : unused;
    if (len == nullptr || flags == nullptr) {
        why = SLUICE_WHY_BAD_ARGUMENT;
        return SLUICE_INVALID_READ;
    }

    sluice::lib::ProbeRequest probe{
        .start = start,
        .len = *len,
        .i_size = i_size,
        .flags = *flags,
        .no_data_to_read = (options.cookie_flags & SLUICE_COOKIE_NO_DATA_TO_READ) != 0,
        .request = options.request,
        .ctx = options.ctx,
    };
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    const auto begin = static_cast<std::uint64_t>(std::max<std::int64_t>(start, 0));
    Asked asked{fd, begin + std::min(*len, kMost - begin)};
    const sluice_source source =
        prepare_ondemand_read(probed_file(asked, options.block_size, options.cookie_flags), probe);
    *len = probe.len;
    *flags = probe.flags;
    why = probe.why;
    return source;
}

int sluice_query_occupancy(
    int fd, int64_t start, uint64_t len, uint64_t granularity, int64_t* data_start, uint64_t* data_len
)
{
    const KeepErrno keep_errno;
    if (data_start == nullptr || data_len == nullptr) {
        return -EINVAL;
    }
    Asked asked{fd, 0};
    const auto found = sluice::lib::query_occupancy(probed_file(asked, 0, 0), start, len, granularity);
    *data_start = found.start;
    *data_len = found.len;
    return found.error;
}

const char* sluice_source_name(enum sluice_source source)
{
    switch (source) {
    case SLUICE_FILL_WITH_ZEROES:
        return "fill-with-zeroes";
    case SLUICE_DOWNLOAD_FROM_SERVER:
        return "download-from-server";
    case SLUICE_READ_FROM_CACHE:
        return "read-from-cache";
    case SLUICE_INVALID_READ:
        return "invalid-read";
    case SLUICE_SOURCE_UNKNOWN:
        break;
    }
    return "unknown";
}

const char* sluice_why_name(enum sluice_why why)
{
    static constexpr const char* kNames[] = {
        "after-eof",
        "found-hole",
        "found-part",
        "have-data",
        "no-data",
        "no-file",
        "seek-error",
        "seek-enxio",
        "bad-argument",
        "part-of-block",
    };
    const auto index = static_cast<std::size_t>(why);
    return index < sizeof kNames / sizeof kNames[0] ? kNames[index] : "unknown";
}
