// SPDX-License-Identifier: Apache-2.0
//
// Whatever comes out of read(2) of the device: decoded within its bounds, or refused.
#include "protocol/message.hpp"
#include "protocol/uapi.hpp"
#include "tests/fuzz/require.hpp"

#include <cstdint>
#include <variant>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice::protocol;
    const auto bytes = std::as_bytes(std::span{data, size});
    const auto decoded = decode(bytes);
    if (!decoded) {
        require(!decoded.error().text.empty());
        require((decoded.error().fault == MessageFault::kShort) == (size < sizeof(uapi::MessageHeader)));
        require(!decoded.error().fd || *decoded.error().fd >= 0);
        return 0;
    }
    if (const auto* open = std::get_if<OpenMessage>(&*decoded)) {
        require(open->fd >= 0 && !open->volume.empty() && !open->cookie.empty());
        require(open->volume.size() + open->cookie.size() <= size - 32);
    } else if (const auto* read = std::get_if<ReadMessage>(&*decoded)) {
        require(!read->range.empty() && read->range.end() <= std::uint64_t{INT64_MAX} && size == 32);
    } else {
        require(size == 16);
    }
    return 0;
}
