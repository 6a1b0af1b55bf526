// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace sluice::protocol {

struct OpenMessage {
    MessageId message;
    ObjectId object;
    int fd;             ///< a number only; nobody owns it yet
    std::string volume; ///< binary; the terminator is taken off
    std::string cookie; ///< binary
};

struct ReadMessage {
    MessageId message;
    ObjectId object;
    ByteRange range; ///< not empty
};

struct CloseMessage {
    MessageId message;
    ObjectId object;
};

using Message = std::variant<OpenMessage, ReadMessage, CloseMessage>;

enum class MessageFault : std::uint8_t {
    kShort,         ///< not even a header
    kLength,        ///< the length field and what was read disagree
    kUnknownOpcode, ///< a kind of message that we do not know
    kBody,          ///< a body of the wrong size for its kind
    kKeys,          ///< keys that are empty, too long, or reach out of the message
    kDescriptor,    ///< OPEN without a usable descriptor or object
    kRange,         ///< READ of nothing, or of what no file offset can say
};

inline constexpr std::size_t kMessageFaults = 7;

[[nodiscard]] std::string_view to_string(MessageFault fault) noexcept;

/// A message that does not follow its format, and what of it could still be read, so that whoever waits for it is
/// answered where that is possible.
struct BadMessage {
    enum class Kind : std::uint8_t { kUnknown, kOpen, kRead, kClose };

    MessageFault fault = MessageFault::kShort;
    Kind kind = Kind::kUnknown;
    MessageId message; ///< meaningful unless the fault is kShort, as the object
    ObjectId object;
    std::optional<int> fd; ///< of an OPEN; it must be closed, if it is one of cachefiles at all
    std::string text;      ///< for the log
};

/// Takes apart what one read(2) of the device brought. Pure: no I/O, no ownership.
[[nodiscard]] tl::expected<Message, BadMessage> decode(std::span<const std::byte> bytes);

} // namespace sluice::protocol
