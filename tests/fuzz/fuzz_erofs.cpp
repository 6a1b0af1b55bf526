// SPDX-License-Identifier: Apache-2.0
// The front of an image: what is accepted has a block size that can be, a size in whole blocks, and a device table
// within it; and devices that are just what the table says are accepted with it.
#include "base/erofs.hpp"
#include "tests/fuzz/require.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
    using namespace sluice; // NOLINT(google-build-using-namespace): a program of one function
    const auto bytes = std::as_bytes(std::span{data, size});
    const auto superblock = erofs::parse_superblock(bytes);
    if (!superblock) {
        require(!superblock.error().text().empty());
        return 0;
    }
    require(superblock->block_size >= 512 && superblock->block_size <= 65536);
    require(superblock->size % superblock->block_size == 0);
    const auto table = superblock->device_table;
    require(table.size() == superblock->extra_devices * erofs::kSlotSize && table.end() <= superblock->size);
    const auto begin = std::min<std::size_t>(table.begin(), size);
    const auto slots = erofs::parse_device_table(*superblock, bytes.subspan(begin));
    require(slots.has_value() == (size - begin >= table.size()));
    if (!slots) {
        return 0;
    }
    std::vector<erofs::Device> devices;
    for (const auto& slot : *slots) {
        devices.push_back({"device", slot.size, {}, std::nullopt});
        if (const auto digest = slot.tag_digest()) {
            devices.back().digests.push_back(*digest);
        }
    }
    require(erofs::check_devices(*slots, devices, erofs::UnknownTag::kRefuse).has_value());
    for (auto& device : devices) {
        ++device.size;
    }
    (void)erofs::find_exchangeable(*slots, devices);
    devices.push_back({"one more", 0, {}, std::nullopt});
    require(!erofs::check_devices(*slots, devices));
    return 0;
}
