// SPDX-License-Identifier: Apache-2.0
//
// Sizes come from the message and are not believed: each is checked against what was really read, in 64 bits, before it
// is used. Fields are copied out, never read through a cast of the buffer.
#include "protocol/message.hpp"

#include "protocol/uapi.hpp"

#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <utility>

namespace sluice::protocol {

namespace {

constexpr std::uint64_t kKeyMax = 256; // 255 bytes of a key, and a volume key's terminator

template <typename T>
T take(std::span<const std::byte>& bytes) noexcept
{
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes = bytes.subspan(sizeof value);
    return value;
}

std::string to_string(std::span<const std::byte> bytes)
{
    std::string text(bytes.size(), '\0');
    std::memcpy(text.data(), bytes.data(), bytes.size());
    return text;
}

using Decoded = tl::expected<Message, BadMessage>;

struct Header {
    MessageId message;
    ObjectId object;
    BadMessage::Kind kind;
};

tl::unexpected<BadMessage>
bad(const Header& header, MessageFault fault, std::string text, std::optional<int> fd = std::nullopt)
{
    return tl::unexpected<BadMessage>{
        BadMessage{fault, header.kind, header.message, header.object, fd, std::move(text)}};
}

Decoded decode_open(const Header& header, std::span<const std::byte> body)
{
    if (body.size() < sizeof(uapi::OpenBody)) {
        return bad(header, MessageFault::kBody, fmt::format("OPEN with a body of {} bytes", body.size()));
    }
    const auto open = take<uapi::OpenBody>(body);
    constexpr auto kIntMax = static_cast<std::uint32_t>(std::numeric_limits<int>::max());
    if (open.fd > kIntMax) {
        return bad(header, MessageFault::kDescriptor, fmt::format("OPEN with descriptor {:#x}", open.fd));
    }
    const auto fd = static_cast<int>(open.fd);
    if (header.object.value == uapi::kNoObject) {
        return bad(header, MessageFault::kDescriptor, "OPEN without an object id", fd);
    }
    const std::uint64_t volume_size = open.volume_key_size;
    const std::uint64_t cookie_size = open.cookie_key_size;
    const bool sizes_fit = volume_size >= 1 && volume_size <= kKeyMax && cookie_size >= 1 && cookie_size < kKeyMax;
    if (!sizes_fit || volume_size + cookie_size != body.size()) {
        auto text = fmt::format("OPEN with keys of {} and {} bytes in {}", volume_size, cookie_size, body.size());
        return bad(header, MessageFault::kKeys, std::move(text), fd);
    }
    auto volume = to_string(body.first(volume_size));
    if (volume.back() == '\0') {
        volume.pop_back();
    }
    if (volume.empty()) {
        return bad(header, MessageFault::kKeys, "OPEN with an empty volume key", fd);
    }
    return OpenMessage{header.message, header.object, fd, std::move(volume), to_string(body.subspan(volume_size))};
}

Decoded decode_read(const Header& header, std::span<const std::byte> body)
{
    if (body.size() != sizeof(uapi::ReadBody)) {
        return bad(header, MessageFault::kBody, fmt::format("READ with a body of {} bytes", body.size()));
    }
    const auto read = take<uapi::ReadBody>(body);
    const auto range = ByteRange::from_length(read.off, read.len);
    if (!range || range->empty()) {
        return bad(header, MessageFault::kRange, fmt::format("READ of {} bytes at {}", read.len, read.off));
    }
    return ReadMessage{header.message, header.object, *range};
}

BadMessage::Kind kind_of(std::uint32_t opcode) noexcept
{
    switch (opcode) {
    case uapi::kOpOpen:
        return BadMessage::Kind::kOpen;
    case uapi::kOpRead:
        return BadMessage::Kind::kRead;
    case uapi::kOpClose:
        return BadMessage::Kind::kClose;
    default:
        return BadMessage::Kind::kUnknown;
    }
}

} // namespace

std::string_view to_string(MessageFault fault) noexcept
{
    switch (fault) {
    case MessageFault::kShort:
        return "short";
    case MessageFault::kLength:
        return "length";
    case MessageFault::kUnknownOpcode:
        return "opcode";
    case MessageFault::kBody:
        return "body";
    case MessageFault::kKeys:
        return "keys";
    case MessageFault::kDescriptor:
        return "descriptor";
    case MessageFault::kRange:
        return "range";
    }
    return "unknown";
}

Decoded decode(std::span<const std::byte> bytes)
{
    const auto whole = bytes.size();
    if (whole < sizeof(uapi::MessageHeader)) {
        return tl::unexpected<BadMessage>{
            BadMessage{MessageFault::kShort, {}, {}, {}, {}, fmt::format("a message of {} bytes", whole)}};
    }
    const auto raw = take<uapi::MessageHeader>(bytes);
    const Header header{MessageId{raw.msg_id}, ObjectId{raw.object_id}, kind_of(raw.opcode)};
    if (raw.len != whole) {
        std::optional<int> fd;
        if (header.kind == BadMessage::Kind::kOpen && bytes.size() >= sizeof(uapi::OpenBody)) {
            const auto open = take<uapi::OpenBody>(bytes);
            if (open.fd <= static_cast<std::uint32_t>(std::numeric_limits<int>::max())) {
                fd = static_cast<int>(open.fd);
            }
        }
        return bad(
            header, MessageFault::kLength, fmt::format("a message of {} bytes that claims {}", whole, raw.len), fd
        );
    }
    switch (header.kind) {
    case BadMessage::Kind::kOpen:
        return decode_open(header, bytes);
    case BadMessage::Kind::kRead:
        return decode_read(header, bytes);
    case BadMessage::Kind::kClose:
        if (!bytes.empty()) {
            return bad(header, MessageFault::kBody, fmt::format("CLOSE with a body of {} bytes", bytes.size()));
        }
        return CloseMessage{header.message, header.object};
    case BadMessage::Kind::kUnknown:
        break;
    }
    return bad(header, MessageFault::kUnknownOpcode, fmt::format("a message of unknown kind {}", raw.opcode));
}

} // namespace sluice::protocol
