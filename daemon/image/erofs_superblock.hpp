// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sluice::daemon {

/// What of an EROFS superblock decides how an image can be served (on-disk format: fs/erofs/erofs_fs.h of Linux).
struct ErofsSuperblock {
    std::uint32_t block_size = 0;    ///< bytes
    std::uint64_t size = 0;          ///< bytes of the primary device: its block count times the block size
    bool compressed = false;         ///< may hold compressed inodes, fragments or a packed inode
    std::uint16_t extra_devices = 0; ///< blob devices beside the primary
};

/// Parses the first 4096 bytes of an image. Fails on a wrong magic or sizes that cannot be.
[[nodiscard]] Result<ErofsSuperblock> parse_erofs_superblock(std::span<const std::byte> first_block);

} // namespace sluice::daemon
