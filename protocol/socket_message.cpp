// SPDX-License-Identifier: Apache-2.0
#include "protocol/socket_message.hpp"

#include "base/byte_range.hpp"
#include "base/text.hpp"
#include "lib/wire.h"

#include <cstring>
#include <fmt/format.h>

namespace sluice::protocol {

namespace {

template <typename T>
Result<T> whole(std::span<const std::byte> bytes, const char* what)
{
    T message{};
    if (bytes.size() != sizeof message) {
        return fail(ErrorKind::kInvalid, fmt::format("{} of {} bytes", what, bytes.size()));
    }
    std::memcpy(&message, bytes.data(), sizeof message);
    return message;
}

template <typename T>
SocketAnswer to_bytes(const T& message)
{
    SocketAnswer bytes(sizeof message);
    std::memcpy(bytes.data(), &message, sizeof message);
    return bytes;
}

sluice_wire_answer answer(std::uint16_t opcode, WireId id, int status, std::size_t size)
{
    const auto answering = static_cast<std::uint16_t>(opcode | SLUICE_WIRE_ANSWER);
    return {{answering, static_cast<std::uint16_t>(size), id.value}, status, 0};
}

Result<SocketMessage> decode_hello(WireId id, std::span<const std::byte> bytes)
{
    const auto hello = whole<sluice_wire_hello>(bytes, "HELLO");
    if (!hello) {
        return fail(hello.error());
    }
    if (hello->magic != SLUICE_WIRE_MAGIC) {
        return fail(ErrorKind::kInvalid, fmt::format("HELLO with magic {:#x}", hello->magic));
    }
    return SocketHello{id, hello->version_min <= SLUICE_WIRE_VERSION && hello->version_max >= SLUICE_WIRE_VERSION};
}

Result<SocketMessage> decode_open(WireId id, bool image, std::span<const std::byte> bytes)
{
    sluice_wire_open open{};
    if (bytes.size() <= sizeof open || bytes.size() > sizeof open + SLUICE_WIRE_NAME_MAX) {
        return fail(ErrorKind::kInvalid, fmt::format("OPEN of {} bytes", bytes.size()));
    }
    std::memcpy(&open, bytes.data(), sizeof open);
    const auto name = as_text(bytes.subspan(sizeof open));
    if (image) {
        return SocketOpenImage{id, std::string{name}, open.layer, open.device};
    }
    const auto digest = Digest::parse(name);
    if (!digest || open.layer != 0 || open.device != 0) {
        return fail(ErrorKind::kInvalid, fmt::format("OPEN of the blob \"{}\"", printable(name)));
    }
    return SocketOpenBlob{id, *digest};
}

Result<SocketMessage> decode_read(WireId id, std::span<const std::byte> bytes)
{
    const auto read = whole<sluice_wire_read>(bytes, "READ");
    if (!read) {
        return fail(read.error());
    }
    const auto range = ByteRange::from_length(read->offset, read->length);
    if (!range || range->empty() || read->reserved != 0) {
        return fail(ErrorKind::kInvalid, fmt::format("READ of {} bytes at {}", read->length, read->offset));
    }
    return SocketRead{id, read->object, read->offset, read->length};
}

Result<SocketMessage> decode_target(WireId id, bool close, std::span<const std::byte> bytes)
{
    const auto message = whole<sluice_wire_object>(bytes, close ? "CLOSE" : "CANCEL");
    if (!message) {
        return fail(message.error());
    }
    if (message->reserved != 0) {
        return fail(ErrorKind::kInvalid, fmt::format("a reserved field says {}", message->reserved));
    }
    if (close) {
        return SocketClose{id, message->target};
    }
    return SocketCancel{id, WireId{message->target}};
}

} // namespace

Result<SocketMessage> decode_socket_message(std::span<const std::byte> bytes)
{
    sluice_wire_header header{};
    if (bytes.size() < sizeof header) {
        return fail(ErrorKind::kInvalid, fmt::format("a message of {} bytes", bytes.size()));
    }
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.size != bytes.size()) {
        return fail(
            ErrorKind::kInvalid, fmt::format("a message of {} bytes that claims {}", bytes.size(), header.size)
        );
    }
    const WireId id{header.id};
    switch (header.opcode) {
    case SLUICE_WIRE_HELLO:
        return decode_hello(id, bytes);
    case SLUICE_WIRE_OPEN_BLOB:
    case SLUICE_WIRE_OPEN_IMAGE:
        return decode_open(id, header.opcode == SLUICE_WIRE_OPEN_IMAGE, bytes);
    case SLUICE_WIRE_READ:
        return decode_read(id, bytes);
    case SLUICE_WIRE_CLOSE:
    case SLUICE_WIRE_CANCEL:
        return decode_target(id, header.opcode == SLUICE_WIRE_CLOSE, bytes);
    default:
        return fail(ErrorKind::kInvalid, fmt::format("a message with opcode {}", header.opcode));
    }
}

SocketAnswer encode_status(std::uint16_t opcode, WireId id, int status)
{
    return to_bytes(answer(opcode, id, status, sizeof(sluice_wire_answer)));
}

SocketAnswer encode_hello(WireId id, const SocketLimits& limits)
{
    const sluice_wire_hello_answer hello{
        answer(SLUICE_WIRE_HELLO, id, 0, sizeof(sluice_wire_hello_answer)),
        SLUICE_WIRE_VERSION,
        limits.requests,
        limits.objects,
        limits.read};
    return to_bytes(hello);
}

SocketAnswer
encode_opened(std::uint16_t opcode, WireId id, std::uint32_t object, std::uint64_t size, const Digest& digest)
{
    sluice_wire_open_answer opened{answer(opcode, id, 0, sizeof opened), object, 0, size, {}};
    std::memcpy(opened.digest, digest.bytes().data(), Digest::kSize);
    return to_bytes(opened);
}

} // namespace sluice::protocol
