// SPDX-License-Identifier: Apache-2.0
//
// The library socket's messages as the client sees them: requests put together, answers taken apart. Pure.
#pragma once

#include "lib/wire.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::lib {

using Bytes = std::vector<std::byte>;

/// What the daemon allows one connection. Until it has said so: nothing.
struct Limits {
    std::uint32_t requests = 0;
    std::uint32_t objects = 0;
    std::uint32_t read = 0; ///< bytes of one READ
};

struct OpenedObject {
    std::uint32_t object = 0;
    std::uint64_t size = 0; ///< bytes
    std::array<std::uint8_t, 32> digest{};
};

struct Answer {
    std::uint16_t opcode = 0; ///< the request's
    std::uint32_t id = 0;
    int status = 0; ///< 0 or a negative errno
    Limits limits;  ///< of a HELLO that went well
    OpenedObject opened;
};

/// Nothing for what does not follow the protocol.
[[nodiscard]] std::optional<Answer> decode_answer(std::span<const std::byte> bytes);

/// Which blob: by digest, or as a part of a registered image.
struct BlobName {
    std::string name;
    bool is_image = false;
    std::uint32_t layer = 0;
    std::uint32_t device = 0;
};

[[nodiscard]] Bytes encode_hello(std::uint32_t id);
/// Precondition: the name has 1 to SLUICE_WIRE_NAME_MAX bytes.
[[nodiscard]] Bytes encode_open(std::uint32_t id, const BlobName& blob);
[[nodiscard]] Bytes encode_read(std::uint32_t id, std::uint32_t object, std::uint64_t offset, std::uint64_t length);
[[nodiscard]] Bytes encode_close(std::uint32_t id, std::uint32_t object);
[[nodiscard]] Bytes encode_cancel(std::uint32_t id, std::uint32_t request);

/// "sha256:" and 64 hex digits.
[[nodiscard]] std::string digest_text(const std::array<std::uint8_t, 32>& digest);

} // namespace sluice::lib
