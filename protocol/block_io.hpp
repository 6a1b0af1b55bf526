// SPDX-License-Identifier: Apache-2.0
//
// What every handle over a sparse file shares: whole-block writing and looking for holes, over whatever does the
// system calls.
#pragma once

#include "base/byte_range.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <sys/types.h>

namespace sluice::protocol {

using WriteCall = std::function<ssize_t(std::span<const std::byte>, std::uint64_t)>; ///< pwrite, or -errno
using SeekCall = std::function<off_t(std::uint64_t, int)>;                            ///< lseek, or -errno

/// kInvalid unless offset, length and memory are multiples of kBlockSize and the range fits a file offset.
[[nodiscard]] Result<void> check_aligned(std::uint64_t offset, std::span<const std::byte> data);

/// Writes all of `data`, going on after short writes at the block that was begun. The error's code is the errno.
[[nodiscard]] Result<void> write_blocks(const WriteCall& call, std::uint64_t offset, std::span<const std::byte> data);

/// The blocks of `range`, grown outwards to whole blocks, that are not wholly data; sorted and merged.
[[nodiscard]] Result<std::vector<ByteRange>> find_missing(const SeekCall& seek, ByteRange range);

} // namespace sluice::protocol
