// SPDX-License-Identifier: Apache-2.0
#include "protocol/block_io.hpp"

#include "lib/sluice.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <unistd.h>

namespace sluice::protocol {

namespace {

constexpr auto kFileMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) & ~(kBlockSize - 1);

FileRun probe(int fd, std::uint64_t offset, std::uint64_t length, std::uint32_t cookie_flags)
{
    sluice_ondemand context = SLUICE_ONDEMAND_INIT;
    context.block_size = kBlockSize;
    context.cookie_flags = cookie_flags;
    unsigned long flags = 0;
    constexpr auto kEndless = std::numeric_limits<std::int64_t>::max(); // as EROFS asks
    const auto start = static_cast<std::int64_t>(offset);
    const auto source = sluice_prepare_ondemand_read(fd, start, &length, kEndless, &flags, &context);
    switch (context.why) {
    case SLUICE_WHY_HAVE_DATA:
        return {0, source == SLUICE_READ_FROM_CACHE, length};
    case SLUICE_WHY_FOUND_HOLE:
    case SLUICE_WHY_FOUND_PART:
    case SLUICE_WHY_SEEK_NXIO:
        return {0, false, length};
    case SLUICE_WHY_PART_OF_BLOCK:
        return {0, false, kBlockSize};
    default:
        break;
    }
    const bool repeated = ::lseek(fd, start, SEEK_DATA) < 0 && errno != ENXIO; // for the errno, which is not told
    return {repeated ? errno : EIO, false, 0};
}

} // namespace

Result<void> check_aligned(std::uint64_t offset, std::span<const std::byte> data)
{
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the address is what matters
    const auto address = reinterpret_cast<std::uintptr_t>(data.data());
    if (offset % kBlockSize != 0 || data.size() % kBlockSize != 0 || address % kBlockSize != 0) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("refused to write {} bytes at {}: not whole blocks from aligned memory", data.size(), offset),
            EINVAL
        );
    }
    if (offset > kFileMax || data.size() > kFileMax - offset) {
        return fail(ErrorKind::kInvalid, fmt::format("refused to write at {}: no file is that long", offset), EFBIG);
    }
    return {};
}

Result<void> write_blocks(const WriteCall& call, std::uint64_t offset, std::span<const std::byte> data)
{
    if (auto aligned = check_aligned(offset, data); !aligned) {
        return aligned;
    }
    // A write that ends within a block has made that block look whole, so it is begun again; without a whole block of
    // progress twice in a row the file cannot be written at all.
    bool stalled = false;
    while (!data.empty()) {
        const auto result = call(data, offset);
        if (result == -EINTR) {
            continue;
        }
        if (result < 0) {
            return fail_errno(
                static_cast<int>(-result), fmt::format("cannot write {} bytes at {}", data.size(), offset)
            );
        }
        // Some kernels report the length rounded up to pages: more than asked for means all of it.
        const auto written = std::min(static_cast<std::size_t>(result), data.size());
        const auto whole = written - written % kBlockSize;
        if (whole == 0 && stalled) {
            return fail(
                ErrorKind::kInternal, fmt::format("cannot write {} bytes at {}: no progress", data.size(), offset), EIO
            );
        }
        stalled = whole == 0;
        offset += whole;
        data = data.subspan(whole);
    }
    return {};
}

FileRun probe_fd(int fd, std::uint64_t offset, std::uint64_t length)
{
    return probe(fd, offset, length, 0);
}

FileRun probe_written(int fd, std::uint64_t offset, std::uint64_t length)
{
    return probe(fd, offset, length, SLUICE_COOKIE_WRITTEN_ONLY);
}

Result<std::vector<ByteRange>> find_missing(const ProbeCall& probe, ByteRange range)
{
    const auto blocks = range.align_out(kBlockSize);
    std::vector<ByteRange> missing;
    for (auto at = blocks.begin(); at < blocks.end();) {
        const auto run = probe(at, blocks.end() - at);
        if (run.error != 0 || run.length == 0) {
            return fail_errno(run.error != 0 ? run.error : EIO, fmt::format("cannot look for data at {}", at));
        }
        const auto end = run.length < blocks.end() - at ? at + run.length : blocks.end();
        if (!run.present) {
            const bool touches = !missing.empty() && missing.back().end() == at;
            const auto begin = touches ? missing.back().begin() : at;
            if (touches) {
                missing.pop_back();
            }
            missing.push_back({begin, end});
        }
        at = end;
    }
    return missing;
}

} // namespace sluice::protocol
