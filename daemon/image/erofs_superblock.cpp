// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/erofs_superblock.hpp"

#include <fmt/format.h>

namespace sluice::daemon {

namespace {

constexpr std::size_t kSuperblockOffset = 1024;
constexpr std::size_t kSuperblockSize = 128;
constexpr std::uint32_t kMagic = 0xE0F5E1E2;

// Offsets within the superblock, all little-endian.
constexpr std::size_t kBlockSizeBits = 12;   // u8
constexpr std::size_t kBlocks = 36;          // u32
constexpr std::size_t kFeatureIncompat = 80; // u32
constexpr std::size_t kCompression = 84;     // u16: algorithms, or the lz4 distance of old images
constexpr std::size_t kExtraDevices = 86;    // u16

// feature_incompat bits that mean that data may be compressed.
constexpr std::uint32_t kZeroPadding = 0x1;
constexpr std::uint32_t kComprCfgs = 0x2;
constexpr std::uint32_t kZtailpacking = 0x10;
constexpr std::uint32_t kFragments = 0x20; // shared with dedupe
constexpr std::uint32_t kMayBeCompressed = kZeroPadding | kComprCfgs | kZtailpacking | kFragments;

std::uint32_t little_endian(std::span<const std::byte> bytes, std::size_t at, std::size_t width)
{
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
        value |= std::to_integer<std::uint32_t>(bytes[at + i]) << (8 * i);
    }
    return value;
}

} // namespace

Result<ErofsSuperblock> parse_erofs_superblock(std::span<const std::byte> first_block)
{
    if (first_block.size() < kSuperblockOffset + kSuperblockSize) {
        return fail(
            ErrorKind::kInvalid, fmt::format("an EROFS image of {} bytes has no superblock", first_block.size())
        );
    }
    const auto sb = first_block.subspan(kSuperblockOffset, kSuperblockSize);
    if (little_endian(sb, 0, 4) != kMagic) {
        return fail(ErrorKind::kInvalid, "not an EROFS image: the superblock's magic number is missing");
    }
    const auto bits = little_endian(sb, kBlockSizeBits, 1);
    if (bits < 9 || bits > 16) {
        return fail(ErrorKind::kInvalid, fmt::format("an EROFS image with blocks of 2^{} bytes", bits));
    }
    const auto features = little_endian(sb, kFeatureIncompat, 4);
    ErofsSuperblock result;
    result.block_size = 1U << bits;
    result.size = static_cast<std::uint64_t>(little_endian(sb, kBlocks, 4)) << bits;
    result.compressed = (features & kMayBeCompressed) != 0 || little_endian(sb, kCompression, 2) != 0;
    result.extra_devices = static_cast<std::uint16_t>(little_endian(sb, kExtraDevices, 2));
    return result;
}

} // namespace sluice::daemon
