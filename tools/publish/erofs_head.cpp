// SPDX-License-Identifier: Apache-2.0
//
// Offsets are those of struct erofs_super_block and struct erofs_deviceslot in Linux's fs/erofs/erofs_fs.h; all numbers
// are little-endian. The checksum is CRC-32C, begun with all ones and not inverted at the end, over the superblock's
// 4096-byte block from offset 1024 on, its own field counting as zero.
#include "tools/publish/erofs_head.hpp"

#include "base/byte_range.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::tools {

namespace {

constexpr std::size_t kSuper = 1024;
constexpr std::uint64_t kMagic = 0xe0f5e1e2;
constexpr std::size_t kChecksumAt = kSuper + 4;
constexpr std::size_t kCompatAt = kSuper + 8;
constexpr std::size_t kBlockBitsAt = kSuper + 12;
constexpr std::size_t kBlocksAt = kSuper + 36;
constexpr std::size_t kUuidAt = kSuper + 48;
constexpr std::size_t kIncompatAt = kSuper + 80;
constexpr std::size_t kDevicesAt = kSuper + 86;
constexpr std::size_t kDeviceTableAt = kSuper + 88;
constexpr std::uint64_t kHasChecksum = 0x1;
constexpr std::uint64_t kHasDeviceTable = 0x8;
constexpr std::size_t kSlotSize = 128;
constexpr std::size_t kSlotBlocksAt = 64;
constexpr std::size_t kMaxFront = 16 * 1024 * 1024; // 65535 devices behind the farthest slot

Failure invalid(std::string_view name, std::string_view what, ErrorKind kind = ErrorKind::kInvalid)
{
    return fail(kind, fmt::format("{}: {}", printable(name), what));
}

std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes)
{
    for (const auto byte : bytes) {
        crc ^= std::to_integer<std::uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
        }
    }
    return crc;
}

Result<std::vector<std::byte>> read_front(int fd, std::size_t size, const std::string& name)
{
    std::vector<std::byte> bytes(size);
    std::size_t filled = 0;
    while (filled < size) {
        const auto count = ::pread(fd, bytes.data() + filled, size - filled, static_cast<off_t>(filled));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, printable(name));
        }
        if (count == 0) {
            break;
        }
        filled += static_cast<std::size_t>(count);
    }
    bytes.resize(filled);
    return bytes;
}

} // namespace

std::uint64_t ErofsHead::get(std::size_t at, std::size_t size) const
{
    std::uint64_t value = 0;
    for (std::size_t i = size; i-- > 0;) {
        value = value << 8 | std::to_integer<std::uint64_t>(front_[at + i]);
    }
    return value;
}

void ErofsHead::put(std::size_t at, std::size_t size, std::uint64_t value)
{
    for (std::size_t i = 0; i < size; ++i) {
        front_[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
    }
}

bool ErofsHead::has_checksum() const
{
    return (get(kCompatAt, 4) & kHasChecksum) != 0;
}

std::uint32_t ErofsHead::checksum() const
{
    const auto block = std::span{front_}.first(kBlockSize);
    constexpr std::array<std::byte, 4> kZero{};
    auto crc = crc32c(~0U, block.subspan(kSuper, kChecksumAt - kSuper));
    crc = crc32c(crc, kZero);
    return crc32c(crc, block.subspan(kChecksumAt + kZero.size()));
}

Result<ErofsHead> ErofsHead::read(int fd, std::string name)
{
    struct stat status {};

    if (::fstat(fd, &status) != 0) {
        return fail_errno(errno, printable(name));
    }
    const auto image_size = static_cast<std::uint64_t>(status.st_size);
    auto front = read_front(fd, kBlockSize, name);
    if (!front) {
        return fail(front.error());
    }
    if (front->size() == kBlockSize) {
        // Most images have their device table in the first block, but any slot may be named.
        const auto number = [&](std::size_t at) {
            return std::to_integer<std::size_t>((*front)[at]) | std::to_integer<std::size_t>((*front)[at + 1]) << 8;
        };
        const auto table_end = (number(kDeviceTableAt) + number(kDevicesAt)) * kSlotSize;
        if (table_end > kBlockSize && table_end <= kMaxFront) {
            front = read_front(fd, table_end, name);
            if (!front) {
                return fail(front.error());
            }
        }
    }
    return parse(std::move(*front), image_size, std::move(name));
}

Result<ErofsHead> ErofsHead::parse(std::vector<std::byte> front, std::uint64_t image_size, std::string name)
{
    ErofsHead head{std::move(front), std::move(name)};
    if (head.front_.size() < kBlockSize || head.get(kSuper, 4) != kMagic) {
        return invalid(head.name_, "not an EROFS image");
    }
    if (head.get(kBlockBitsAt, 1) != 12) {
        return invalid(
            head.name_,
            fmt::format(
                "EROFS blocks of 2^{} bytes; only 4096 is supported (mkfs.erofs -b4096)", head.get(kBlockBitsAt, 1)
            ),
            ErrorKind::kUnsupported
        );
    }
    if (head.has_checksum() && head.get(kChecksumAt, 4) != head.checksum()) {
        return invalid(head.name_, "the superblock's checksum is wrong");
    }
    const auto blocks = head.get(kBlocksAt, 4);
    if (blocks * kBlockSize > (image_size + kBlockSize - 1) / kBlockSize * kBlockSize) {
        return invalid(
            head.name_,
            fmt::format("cut short: {} bytes, where the superblock says {}", image_size, blocks * kBlockSize)
        );
    }
    if ((head.get(kIncompatAt, 4) & kHasDeviceTable) != 0) {
        head.devices_ = static_cast<unsigned>(head.get(kDevicesAt, 2));
        head.table_ = head.get(kDeviceTableAt, 2) * kSlotSize;
        if (head.table_ < kSuper + kSlotSize || head.table_ + head.devices_ * kSlotSize > head.front_.size()) {
            return invalid(head.name_, "its device table lies outside the image");
        }
    }
    return head;
}

void ErofsHead::set_device(unsigned index, const Digest& blob, std::uint64_t blocks)
{
    assert(index < devices_);
    const auto at = table_ + index * kSlotSize;
    static_assert(Digest::kSize * 2 == kSlotBlocksAt);
    const auto hex = blob.hex();
    std::copy_n(as_byte_span(hex).begin(), hex.size(), front_.begin() + static_cast<std::ptrdiff_t>(at));
    put(at + kSlotBlocksAt, 4, std::min<std::uint64_t>(blocks, ~std::uint32_t{0}));
}

void ErofsHead::set_uuid(std::span<const std::byte, kUuidSize> uuid)
{
    std::copy(uuid.begin(), uuid.end(), front_.begin() + kUuidAt);
}

Result<void> ErofsHead::write(int fd)
{
    if (has_checksum()) {
        put(kChecksumAt, 4, checksum());
    }
    const auto count = ::pwrite(fd, front_.data(), front_.size(), 0);
    if (count < 0) {
        return fail_errno(errno, printable(name_));
    }
    if (static_cast<std::size_t>(count) != front_.size()) {
        return invalid(name_, "short write", ErrorKind::kNoSpace);
    }
    return {};
}

} // namespace sluice::tools
