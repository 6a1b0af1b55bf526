// SPDX-License-Identifier: Apache-2.0
//
// What stands at the front of an EROFS image (fs/erofs/erofs_fs.h of Linux): the superblock, and the table of the
// further devices that hold data of its files. All of it is pure; texts of errors do not name the image.
#pragma once

#include "base/byte_range.hpp"
#include "base/digest.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sluice::erofs {

inline constexpr std::size_t kSuperblockAt = 1024; ///< in the image
inline constexpr std::size_t kSuperblockSize = 128;
inline constexpr std::size_t kSlotSize = 128;
inline constexpr std::size_t kTagSize = 64;

using Uuid = std::array<std::byte, 16>;

/// What of a superblock decides how an image can be served.
struct Superblock {
    std::uint32_t block_size = 0;    ///< bytes
    std::uint64_t size = 0;          ///< bytes of the primary device: its block count times the block size
    bool compressed = false;         ///< may hold compressed inodes, fragments or a packed inode
    std::uint16_t extra_devices = 0; ///< devices beside the primary
    ByteRange device_table;          ///< where in the image their slots are; empty when there are none
    Uuid uuid{};
};

/// Parses the first 4096 bytes of an image. kInvalid: a wrong magic, sizes that cannot be, a device table over the
/// superblock or outside the image.
[[nodiscard]] Result<Superblock> parse_superblock(std::span<const std::byte> first_block);

/// What the device table says of one extra device.
struct DeviceSlot {
    std::array<std::byte, kTagSize> tag{}; ///< all zeros: none
    std::uint64_t size = 0;                ///< bytes that the image refers to at most; 0: it does not say

    [[nodiscard]] bool has_tag() const noexcept;

    /// The digest whose 64 hex digits are the tag, if it is one.
    [[nodiscard]] std::optional<Digest> tag_digest() const;

    /// Whether the tag is this UUID, as mkfs.erofs writes it when it refers to whole EROFS images.
    [[nodiscard]] bool is_tagged(const Uuid& uuid) const noexcept;
};

/// Parses the device table: `table` is what the image holds in `superblock.device_table`. kInvalid when it is cut
/// short.
[[nodiscard]] Result<std::vector<DeviceSlot>>
parse_device_table(const Superblock& superblock, std::span<const std::byte> table);

/// What is there for one slot of the device table.
struct Device {
    std::string name;            ///< for texts
    std::uint64_t size = 0;      ///< bytes
    std::vector<Digest> digests; ///< those by which a tag may mean it
    std::optional<Uuid> uuid;    ///< when it is an EROFS image itself
};

/// What becomes of a tag that is a digest, and that of none of the devices.
enum class UnknownTag : std::uint8_t { kAccept, kRefuse };

/// Can these be the devices of an image with this table, in this order? kInvalid, naming the device, when there are
/// more or fewer, when one is shorter than its slot, or when a tag says that it is another one. Devices of one size
/// without tags cannot be told apart.
[[nodiscard]] Result<void> check_devices(
    std::span<const DeviceSlot> slots, std::span<const Device> devices, UnknownTag unknown = UnknownTag::kAccept
);

/// Two devices (their indexes) that check_devices() would accept in each other's place, too, because their slots have
/// no tags that are known and their sizes fit: the image does not say whether they are in the right order.
[[nodiscard]] std::optional<std::pair<std::size_t, std::size_t>>
find_exchangeable(std::span<const DeviceSlot> slots, std::span<const Device> devices);

} // namespace sluice::erofs
