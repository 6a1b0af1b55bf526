// SPDX-License-Identifier: Apache-2.0
//
// What every handle over a sparse file shares: writing whole blocks, and looking for holes.
#pragma once

#include "base/byte_range.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <sys/types.h>
#include <vector>

namespace sluice::protocol {

using WriteCall = std::function<ssize_t(std::span<const std::byte>, std::uint64_t)>; ///< pwrite, or -errno

/// What a file says about the bytes from some offset on.
struct FileRun {
    int error = 0; ///< errno; the rest is meaningless then
    bool present = false;
    std::uint64_t length = 0; ///< whole blocks that this holds for, within what was asked for; at least one
};

using ProbeCall = std::function<FileRun(std::uint64_t offset, std::uint64_t length)>;

/// Asks a file, or a cachefiles object, by libsluice: the answer is the one that the kernel will find. `offset` and
/// `length` are multiples of kBlockSize. A block of which only a part is data counts as missing.
[[nodiscard]] FileRun probe_fd(int fd, std::uint64_t offset, std::uint64_t length);

/// The same for an ordinary file, by its extents: what is allocated and was never written, or is being written at this
/// moment, is missing, whatever pages are in memory.
[[nodiscard]] FileRun probe_written(int fd, std::uint64_t offset, std::uint64_t length);

/// kInvalid unless offset, length and memory are multiples of kBlockSize and the range fits a file offset.
[[nodiscard]] Result<void> check_aligned(std::uint64_t offset, std::span<const std::byte> data);

/// Writes all of `data`, going on after short writes at the block that was begun. The error's code is the errno.
[[nodiscard]] Result<void> write_blocks(const WriteCall& call, std::uint64_t offset, std::span<const std::byte> data);

/// The blocks of `range`, grown outwards to whole blocks, that are not wholly data; sorted and merged.
[[nodiscard]] Result<std::vector<ByteRange>> find_missing(const ProbeCall& probe, ByteRange range);

} // namespace sluice::protocol
