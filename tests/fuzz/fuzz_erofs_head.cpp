// SPDX-License-Identifier: Apache-2.0
//
// An EROFS image that somebody wants to publish: its superblock and device table are refused, or can be changed and
// written, and are then as good as before.
#include "base/unique_fd.hpp"
#include "tests/fuzz/require.hpp"
#include "tools/publish/erofs_head.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <sys/mman.h>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using sluice::tools::ErofsHead;
    constexpr std::uint64_t kLarge = std::uint64_t{1} << 44; // every number of blocks fits in
    const auto bytes = std::as_bytes(std::span{data, size});
    const std::vector<std::byte> front{bytes.begin(), bytes.end()};
    (void)ErofsHead::parse(front, size, "image");
    auto head = ErofsHead::parse(front, kLarge, "image");
    if (!head) {
        require(!head.error().text().empty());
        return 0;
    }
    for (unsigned i = 0; i < head->devices(); ++i) {
        head->set_device(i, sluice::Digest{}, kLarge + i);
    }
    constexpr sluice::erofs::Uuid kUuid{std::byte{1}};
    head->set_uuid(kUuid);
    const sluice::UniqueFd file{sluice::kAdoptFd, ::memfd_create("image", MFD_CLOEXEC)};
    require(head->write(file.get()).has_value());
    const auto written = ErofsHead::read(file.get(), "image");
    const auto again = ErofsHead::parse({head->front().begin(), head->front().end()}, kLarge, "image");
    require(again && again->devices() == head->devices());
    require(!written || written->devices() == head->devices());
    return 0;
}
