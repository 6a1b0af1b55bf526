// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/erofs.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

/// The front of an EROFS image: superblock and device table, read, changed and written back with a right checksum.
class ErofsHead {
public:
    /// Unsupported: blocks of another size than 4096. Invalid: no EROFS image, a wrong checksum, or cut short.
    [[nodiscard]] static Result<ErofsHead> read(int fd, std::string name);

    /// The same from memory: `front` holds the image's first block at least, and its device table.
    [[nodiscard]] static Result<ErofsHead>
    parse(std::vector<std::byte> front, std::uint64_t image_size, std::string name);

    /// Extra devices that the image refers to.
    [[nodiscard]] unsigned devices() const noexcept { return superblock_.extra_devices; }

    /// What the device table says of them, one for each.
    [[nodiscard]] const std::vector<erofs::DeviceSlot>& slots() const noexcept { return slots_; }

    /// Gives device `index` (below devices()) its tag, which is the cookie that kernels ask for, and its size in
    /// blocks where the table has none, as with mkfs.erofs 1.5.
    void set_device(unsigned index, const Digest& blob, std::uint64_t blocks);

    [[nodiscard]] const erofs::Uuid& uuid() const noexcept { return superblock_.uuid; } ///< as it was read

    void set_uuid(const erofs::Uuid& uuid);

    /// Writes the front back, checksum included where the image has one.
    [[nodiscard]] Result<void> write(int fd);

    [[nodiscard]] std::span<const std::byte> front() const noexcept { return front_; }

private:
    ErofsHead(std::vector<std::byte> front, std::string name) : front_{std::move(front)}, name_{std::move(name)} {}

    [[nodiscard]] std::uint64_t get(std::size_t at, std::size_t size) const;
    void put(std::size_t at, std::size_t size, std::uint64_t value);
    [[nodiscard]] bool has_checksum() const;
    [[nodiscard]] std::uint32_t checksum() const;

    std::vector<std::byte> front_;
    std::string name_;
    erofs::Superblock superblock_;
    std::vector<erofs::DeviceSlot> slots_;
};

} // namespace sluice::tools
