// SPDX-License-Identifier: Apache-2.0
//
// Whatever a client sends over the library socket: taken apart within its bounds, or refused.
#include "lib/wire.h"
#include "protocol/socket_message.hpp"
#include "tests/fuzz/require.hpp"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice::protocol;
    const auto decoded = decode_socket_message(std::as_bytes(std::span{data, size}));
    if (!decoded) {
        require(!decoded.error().text().empty());
        return 0;
    }
    require(size >= sizeof(sluice_wire_object) && size <= sizeof(sluice_wire_open) + SLUICE_WIRE_NAME_MAX);
    if (const auto* image = std::get_if<SocketOpenImage>(&*decoded)) {
        require(!image->reference.empty() && image->reference.size() == size - sizeof(sluice_wire_open));
    } else if (const auto* read = std::get_if<SocketRead>(&*decoded)) {
        require(read->length > 0 && read->length <= std::uint64_t{INT64_MAX} - read->offset);
    }
    return 0;
}
