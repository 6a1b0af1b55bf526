// SPDX-License-Identifier: Apache-2.0
// An image's first block: what is accepted has a block size that can be, and a size in whole blocks.
#include "daemon/image/erofs_superblock.hpp"
#include "tests/fuzz/require.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
    const auto superblock = sluice::daemon::parse_erofs_superblock(std::as_bytes(std::span{data, size}));
    if (!superblock) {
        require(!superblock.error().text().empty());
        return 0;
    }
    require(superblock->block_size >= 512 && superblock->block_size <= 65536);
    require(superblock->size % superblock->block_size == 0);
    return 0;
}
