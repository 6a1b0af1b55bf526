// SPDX-License-Identifier: Apache-2.0
//
// base/erofs.hpp reads; here are the offsets of what is written, and of the checksum. That is CRC-32C, begun with all
// ones and not inverted at the end, over the superblock's 4096-byte block from offset 1024 on, its own field counting
// as zero.
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

constexpr std::size_t kChecksumAt = erofs::kSuperblockAt + 4;
constexpr std::size_t kCompatAt = erofs::kSuperblockAt + 8;
constexpr std::size_t kUuidAt = erofs::kSuperblockAt + 48;
constexpr std::uint64_t kHasChecksum = 0x1;
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
    auto crc = crc32c(~0U, block.subspan(erofs::kSuperblockAt, kChecksumAt - erofs::kSuperblockAt));
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
    // Most images have their device table in the first block, but any slot may be named.
    const auto superblock = erofs::parse_superblock(*front);
    const auto table_end = superblock ? superblock->device_table.end() : 0;
    if (table_end > kBlockSize && table_end <= kMaxFront) {
        front = read_front(fd, table_end, name);
        if (!front) {
            return fail(front.error());
        }
    }
    return parse(std::move(*front), image_size, std::move(name));
}

Result<ErofsHead> ErofsHead::parse(std::vector<std::byte> front, std::uint64_t image_size, std::string name)
{
    ErofsHead head{std::move(front), std::move(name)};
    const std::span front_bytes{head.front_};
    const auto superblock = erofs::parse_superblock(front_bytes);
    if (!superblock) {
        return fail(superblock.error(), printable(head.name_));
    }
    if (front_bytes.size() < kBlockSize) {
        return invalid(head.name_, "cut short: less than a block");
    }
    if (superblock->block_size != kBlockSize) {
        return invalid(
            head.name_,
            fmt::format(
                "EROFS blocks of {} bytes; only {} is supported (mkfs.erofs -b{})",
                superblock->block_size,
                kBlockSize,
                kBlockSize
            ),
            ErrorKind::kUnsupported
        );
    }
    if (head.has_checksum() && head.get(kChecksumAt, 4) != head.checksum()) {
        return invalid(head.name_, "the superblock's checksum is wrong");
    }
    if (superblock->size > (image_size + kBlockSize - 1) / kBlockSize * kBlockSize) {
        return invalid(
            head.name_, fmt::format("cut short: {} bytes, where the superblock says {}", image_size, superblock->size)
        );
    }
    const auto table = superblock->device_table;
    if (table.end() > front_bytes.size()) {
        return invalid(head.name_, "its device table lies outside the image");
    }
    auto slots = erofs::parse_device_table(*superblock, front_bytes.subspan(table.begin(), table.size()));
    if (!slots) {
        return fail(slots.error(), printable(head.name_));
    }
    head.superblock_ = *superblock;
    head.slots_ = std::move(*slots);
    return head;
}

void ErofsHead::set_device(unsigned index, const Digest& blob, std::uint64_t blocks)
{
    assert(index < devices());
    const auto at = superblock_.device_table.begin() + index * erofs::kSlotSize;
    static_assert(Digest::kSize * 2 == erofs::kTagSize);
    const auto hex = blob.hex();
    std::copy_n(as_byte_span(hex).begin(), hex.size(), front_.begin() + static_cast<std::ptrdiff_t>(at));
    if (slots_[index].size == 0) {
        put(at + erofs::kTagSize, 4, std::min<std::uint64_t>(blocks, ~std::uint32_t{0}));
    }
}

void ErofsHead::set_uuid(const erofs::Uuid& uuid)
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
