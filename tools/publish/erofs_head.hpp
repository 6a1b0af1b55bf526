// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
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
    static constexpr std::size_t kUuidSize = 16;

    /// Unsupported: blocks of another size than 4096. Invalid: no EROFS image, a wrong checksum, or cut short.
    [[nodiscard]] static Result<ErofsHead> read(int fd, std::string name);

    /// The same from memory: `front` holds the image's first block at least, and its device table.
    [[nodiscard]] static Result<ErofsHead>
    parse(std::vector<std::byte> front, std::uint64_t image_size, std::string name);

    /// Extra devices that the image refers to.
    [[nodiscard]] unsigned devices() const noexcept { return devices_; }

    /// Gives device `index` (below devices()) its tag, which is the cookie that kernels ask for, and its size in
    /// blocks.
    void set_device(unsigned index, const Digest& blob, std::uint64_t blocks);

    void set_uuid(std::span<const std::byte, kUuidSize> uuid);

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
    unsigned devices_ = 0;
    std::size_t table_ = 0; // offset of the device table
};

} // namespace sluice::tools
