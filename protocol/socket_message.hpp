// SPDX-License-Identifier: Apache-2.0
//
// The library socket's messages as the daemon sees them (lib/wire.h): requests taken apart, answers put together. Pure.
#pragma once

#include "base/digest.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace sluice::protocol {

/// Of the client's choice, and what it knows its answer by.
using WireId = Id<struct WireTag>;

struct SocketHello {
    WireId id;
    bool known_version; ///< one that we speak is among those that it speaks
};

struct SocketOpenBlob {
    WireId id;
    Digest digest;
};

struct SocketOpenImage {
    WireId id;
    std::string reference; ///< 1 to 768 bytes of anything
    std::uint32_t layer;
    std::uint32_t device;
};

struct SocketRead {
    WireId id;
    std::uint32_t object;
    std::uint64_t offset; ///< with the length it stays within 63 bits
    std::uint64_t length; ///< not 0
};

struct SocketClose {
    WireId id;
    std::uint32_t object;
};

struct SocketCancel {
    WireId id;
    WireId request;
};

using SocketMessage = std::variant<SocketHello, SocketOpenBlob, SocketOpenImage, SocketRead, SocketClose, SocketCancel>;

/// The error says what is wrong with it; whoever sends such a thing is not talked to any longer.
[[nodiscard]] Result<SocketMessage> decode_socket_message(std::span<const std::byte> bytes);

/// What one client may do at a time.
struct SocketLimits {
    std::uint32_t requests = 256; ///< OPENs and READs that are not answered
    std::uint32_t objects = 1024;
    std::uint32_t read = 4U << 20; ///< bytes of one READ
};

using SocketAnswer = std::vector<std::byte>;

/// `opcode` is the request's (enum sluice_wire_opcode), `status` 0 or a negative errno.
[[nodiscard]] SocketAnswer encode_status(std::uint16_t opcode, WireId id, int status);
[[nodiscard]] SocketAnswer encode_hello(WireId id, const SocketLimits& limits);
[[nodiscard]] SocketAnswer
encode_opened(std::uint16_t opcode, WireId id, std::uint32_t object, std::uint64_t size, const Digest& digest);

} // namespace sluice::protocol
