// SPDX-License-Identifier: Apache-2.0
#include "base/erofs.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sluice::erofs {

namespace {

constexpr std::uint32_t kMagic = 0xE0F5E1E2;

// Offsets within the superblock, all little-endian.
constexpr std::size_t kBlockSizeBits = 12;   // u8
constexpr std::size_t kBlocks = 36;          // u32
constexpr std::size_t kUuid = 48;            // 16 bytes
constexpr std::size_t kFeatureIncompat = 80; // u32
constexpr std::size_t kCompression = 84;     // u16: algorithms, or the lz4 distance of old images
constexpr std::size_t kExtraDevices = 86;    // u16
constexpr std::size_t kDeviceTable = 88;     // u16: in slots, from the image's begin

// feature_incompat bits that mean that data may be compressed.
constexpr std::uint32_t kZeroPadding = 0x1;
constexpr std::uint32_t kComprCfgs = 0x2;
constexpr std::uint32_t kZtailpacking = 0x10;
constexpr std::uint32_t kFragments = 0x20; // shared with dedupe
constexpr std::uint32_t kMayBeCompressed = kZeroPadding | kComprCfgs | kZtailpacking | kFragments;

constexpr std::uint32_t kHasDeviceTable = 0x8;

// Offsets within a slot, behind the tag.
constexpr std::size_t kSlotBlocks = kTagSize; // u32

std::uint32_t little_endian(std::span<const std::byte> bytes, std::size_t at, std::size_t width)
{
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
        value |= std::to_integer<std::uint32_t>(bytes[at + i]) << (8 * i);
    }
    return value;
}

Failure invalid(const std::string& text)
{
    return fail(ErrorKind::kInvalid, text);
}

bool has_digest(const Device& device, const Digest& digest)
{
    return std::find(device.digests.begin(), device.digests.end(), digest) != device.digests.end();
}

/// How a text calls a device: "device 2 (data.img)".
std::string describe(std::span<const Device> devices, std::size_t index)
{
    return fmt::format("device {} ({})", index + 1, printable(devices[index].name));
}

Failure swapped(std::span<const Device> devices, std::size_t given, std::size_t meant)
{
    return invalid(fmt::format(
        "{} stands where the device table has {}; give the devices in the order of the table",
        describe(devices, given),
        describe(devices, meant)
    ));
}

/// Does the slot's tag say that it is for this device?
bool is_meant_for(const DeviceSlot& slot, const Device& device)
{
    if (const auto digest = slot.tag_digest()) {
        return has_digest(device, *digest);
    }
    return device.uuid && slot.is_tagged(*device.uuid);
}

/// Is what the slot's tag says true of the device in its place?
Result<void> check_tag(const DeviceSlot& slot, std::span<const Device> devices, std::size_t index, UnknownTag unknown)
{
    const auto is_meant = [&](const Device& device) { return is_meant_for(slot, device); };
    if (is_meant(devices[index])) {
        return {};
    }
    const auto meant = std::find_if(devices.begin(), devices.end(), is_meant);
    if (meant != devices.end()) {
        return swapped(devices, index, static_cast<std::size_t>(meant - devices.begin()));
    }
    const auto digest = slot.tag_digest();
    if (digest && unknown == UnknownTag::kRefuse) {
        return invalid(fmt::format(
            "{} is not the device that the image was made with: the device table has {} in its place",
            describe(devices, index),
            digest->to_string()
        ));
    }
    return {};
}

} // namespace

Result<Superblock> parse_superblock(std::span<const std::byte> first_block)
{
    if (first_block.size() < kSuperblockAt + kSuperblockSize) {
        return invalid(fmt::format("not an EROFS image: {} bytes have no superblock", first_block.size()));
    }
    const auto sb = first_block.subspan(kSuperblockAt, kSuperblockSize);
    if (little_endian(sb, 0, 4) != kMagic) {
        return invalid("not an EROFS image: the superblock's magic number is missing");
    }
    const auto bits = little_endian(sb, kBlockSizeBits, 1);
    if (bits < 9 || bits > 16) {
        return invalid(fmt::format("an EROFS image with blocks of 2^{} bytes", bits));
    }
    const auto features = little_endian(sb, kFeatureIncompat, 4);
    Superblock result;
    result.block_size = 1U << bits;
    result.size = static_cast<std::uint64_t>(little_endian(sb, kBlocks, 4)) << bits;
    result.compressed = (features & kMayBeCompressed) != 0 || little_endian(sb, kCompression, 2) != 0;
    std::copy_n(sb.begin() + kUuid, result.uuid.size(), result.uuid.begin());
    if ((features & kHasDeviceTable) != 0) {
        result.extra_devices = static_cast<std::uint16_t>(little_endian(sb, kExtraDevices, 2));
    }
    if (result.extra_devices != 0) {
        const auto table = std::uint64_t{little_endian(sb, kDeviceTable, 2)} * kSlotSize;
        result.device_table = {table, table + std::uint64_t{result.extra_devices} * kSlotSize};
        if (table < kSuperblockAt + kSuperblockSize || result.device_table.end() > result.size) {
            return invalid("an EROFS image whose device table lies outside the image");
        }
    }
    return result;
}

bool DeviceSlot::has_tag() const noexcept
{
    return std::any_of(tag.begin(), tag.end(), [](std::byte b) { return b != std::byte{}; });
}

std::optional<Digest> DeviceSlot::tag_digest() const
{
    const auto digest = Digest::parse_hex(as_text(tag));
    return digest ? std::optional{*digest} : std::nullopt;
}

bool DeviceSlot::is_tagged(const Uuid& uuid) const noexcept
{
    return has_tag() && std::equal(uuid.begin(), uuid.end(), tag.begin()) &&
           std::all_of(tag.begin() + uuid.size(), tag.end(), [](std::byte b) { return b == std::byte{}; });
}

Result<std::vector<DeviceSlot>> parse_device_table(const Superblock& superblock, std::span<const std::byte> table)
{
    if (table.size() < superblock.device_table.size()) {
        return invalid(fmt::format(
            "an EROFS image whose device table is cut short: {} bytes for {} devices",
            table.size(),
            superblock.extra_devices
        ));
    }
    std::vector<DeviceSlot> slots(superblock.extra_devices);
    for (std::size_t i = 0; i < slots.size(); ++i) {
        const auto bytes = table.subspan(i * kSlotSize, kSlotSize);
        std::copy_n(bytes.begin(), kTagSize, slots[i].tag.begin());
        slots[i].size = std::uint64_t{little_endian(bytes, kSlotBlocks, 4)} * superblock.block_size;
    }
    return slots;
}

Result<void> check_devices(std::span<const DeviceSlot> slots, std::span<const Device> devices, UnknownTag unknown)
{
    if (slots.size() != devices.size()) {
        return invalid(fmt::format(
            "the image refers to {} extra device{}, and there {} {}",
            slots.size(),
            slots.size() == 1 ? "" : "s",
            devices.size() == 1 ? "is" : "are",
            devices.size()
        ));
    }
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (auto checked = check_tag(slots[i], devices, i, unknown); !checked) {
            return checked;
        }
    }
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (devices[i].size < slots[i].size) {
            return invalid(fmt::format(
                "{} has {} bytes, and the device table gives it {}: it is cut short, or not the device in this place",
                describe(devices, i),
                devices[i].size,
                slots[i].size
            ));
        }
    }
    return {};
}

std::optional<std::pair<std::size_t, std::size_t>>
find_exchangeable(std::span<const DeviceSlot> slots, std::span<const Device> devices)
{
    const auto same = [&](const Device& a, const Device& b) {
        return std::any_of(a.digests.begin(), a.digests.end(), [&](const Digest& digest) {
            return has_digest(b, digest);
        });
    };
    const auto fits_untold = [&](std::size_t slot, std::size_t device) {
        return !is_meant_for(slots[slot], devices[slot]) && slots[slot].size <= devices[device].size;
    };
    for (std::size_t i = 0; i < slots.size(); ++i) {
        for (std::size_t j = i + 1; j < slots.size(); ++j) {
            if (fits_untold(i, j) && fits_untold(j, i) && !same(devices[i], devices[j])) {
                return std::pair{i, j};
            }
        }
    }
    return std::nullopt;
}

} // namespace sluice::erofs
