// SPDX-License-Identifier: Apache-2.0
//
// The wire format of cachefiles' on-demand mode, Linux 5.19 to 7.1: host byte order, natural alignment. Declared here,
// and not taken from <linux/cachefiles.h>, because that header is going away and the format is not going to change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace sluice::protocol::uapi {

inline constexpr std::uint32_t kOpOpen = 0;
inline constexpr std::uint32_t kOpClose = 1;
inline constexpr std::uint32_t kOpRead = 2;

/// The kernel's own bound for one message; a smaller buffer can get stuck on EMSGSIZE.
inline constexpr std::size_t kMessageMax = 1024;

/// _IOW(0x98, 1, int); the argument is the message's id itself, not a pointer to it.
inline constexpr unsigned long kReadComplete = 0x40049801UL;

/// What `object_id` holds in a message whose object has lost its descriptor meanwhile.
inline constexpr std::uint32_t kNoObject = 0xffffffffU;

struct MessageHeader {
    std::uint32_t msg_id;
    std::uint32_t opcode;
    std::uint32_t len; ///< of the whole message, this header included
    std::uint32_t object_id;
};

/// Followed by the volume key (its size counts one terminating NUL) and the cookie key (no terminator).
struct OpenBody {
    std::uint32_t volume_key_size;
    std::uint32_t cookie_key_size;
    std::uint32_t fd;
    std::uint32_t flags;
};

struct ReadBody {
    std::uint64_t off;
    std::uint64_t len;
};

static_assert(sizeof(MessageHeader) == 16 && std::is_trivially_copyable_v<MessageHeader>);
static_assert(offsetof(MessageHeader, opcode) == 4 && offsetof(MessageHeader, len) == 8);
static_assert(offsetof(MessageHeader, object_id) == 12);
static_assert(sizeof(OpenBody) == 16 && std::is_trivially_copyable_v<OpenBody>);
static_assert(offsetof(OpenBody, cookie_key_size) == 4 && offsetof(OpenBody, fd) == 8);
static_assert(offsetof(OpenBody, flags) == 12);
static_assert(sizeof(ReadBody) == 16 && std::is_trivially_copyable_v<ReadBody>);
static_assert(offsetof(ReadBody, len) == 8);

} // namespace sluice::protocol::uapi
