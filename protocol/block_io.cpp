// SPDX-License-Identifier: Apache-2.0
#include "protocol/block_io.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>

#include <fmt/format.h>
#include <unistd.h>

namespace sluice::protocol {

namespace {

constexpr auto kFileMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) & ~(kBlockSize - 1);

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

Result<std::vector<ByteRange>> find_missing(const SeekCall& seek, ByteRange range)
{
    const auto blocks = range.align_out(kBlockSize);
    std::vector<ByteRange> missing;
    const auto add = [&missing](std::uint64_t begin, std::uint64_t end) {
        if (!missing.empty() && missing.back().end() >= begin) {
            missing.back() = ByteRange{missing.back().begin(), end};
        }
        else if (begin < end) {
            missing.push_back({begin, end});
        }
    };
    std::uint64_t known = blocks.begin(); // everything before it is data, or in `missing`
    std::uint64_t at = blocks.begin();
    while (known < blocks.end()) {
        const auto data = seek(at, SEEK_DATA);
        if (data < 0 && data != -ENXIO) {
            return fail_errno(static_cast<int>(-data), fmt::format("cannot look for data at {}", at));
        }
        if (data == -ENXIO || static_cast<std::uint64_t>(data) >= blocks.end()) {
            add(known, blocks.end());
            break;
        }
        const auto run_begin = static_cast<std::uint64_t>(data);
        const auto hole = seek(run_begin, SEEK_HOLE);
        if (hole < 0 || hole <= data) {
            const auto code = hole < 0 ? static_cast<int>(-hole) : EIO;
            return fail_errno(code, fmt::format("cannot look for a hole at {}", run_begin));
        }
        // A run counts only in whole blocks: file systems with smaller ones can hold half of one of ours.
        const auto first = (run_begin + kBlockSize - 1) & ~(kBlockSize - 1);
        const auto last = static_cast<std::uint64_t>(hole) & ~(kBlockSize - 1);
        at = static_cast<std::uint64_t>(hole);
        if (last > first) {
            add(known, std::max(known, first));
            known = last;
        }
    }
    return missing;
}

} // namespace sluice::protocol
