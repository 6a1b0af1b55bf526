// SPDX-License-Identifier: Apache-2.0
//
// Whatever is read from a FUSE connection, or found in a predecessor's slot: taken apart within its bounds, or refused.
#include "protocol/fuse_message.hpp"
#include "tests/fuzz/require.hpp"

#include <algorithm>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice::protocol;
    const auto bytes = std::as_bytes(std::span{data, std::min(size, kFuseKept)});
    const auto unique = unique_of_fuse_message(bytes);
    const auto message = parse_fuse_message(bytes);
    if (!message) {
        require(!message.error().text().empty());
        return 0;
    }
    require(message->unique == unique && unique != 0);
    require(message->name.size() <= 255 && message->name.find('\0') == std::string_view::npos);
    if (!message->name.empty()) {
        const auto* begin = static_cast<const char*>(static_cast<const void*>(bytes.data()));
        require(message->name.data() > begin && message->name.data() + message->name.size() < begin + bytes.size());
    }
    if (const auto answer = answer_offer(message->offer)) {
        require((answer->flags & ~message->offer.flags) == 0 && answer->max_write == 4096 && answer->flags2 == 0);
    }
    return 0;
}
