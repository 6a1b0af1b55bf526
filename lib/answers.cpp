// SPDX-License-Identifier: Apache-2.0
#include "lib/answers.hpp"

#include <cstring>

namespace sluice::lib {

namespace {

constexpr int kErrnoMax = 4095;

template <typename T>
bool copy_out(std::span<const std::byte> bytes, T& out) noexcept
{
    if (bytes.size() != sizeof out) {
        return false;
    }
    std::memcpy(&out, bytes.data(), sizeof out);
    return true;
}

template <typename T>
Bytes to_bytes(const T& message)
{
    Bytes bytes(sizeof message);
    std::memcpy(bytes.data(), &message, sizeof message);
    return bytes;
}

template <typename T>
sluice_wire_header header(sluice_wire_opcode opcode, std::uint32_t id)
{
    return {static_cast<std::uint16_t>(opcode), static_cast<std::uint16_t>(sizeof(T)), id};
}

bool decode_hello(std::span<const std::byte> bytes, Answer& answer)
{
    sluice_wire_hello_answer hello{};
    if (!copy_out(bytes, hello) || hello.version != SLUICE_WIRE_VERSION) {
        return false;
    }
    answer.limits = {hello.max_requests, hello.max_objects, hello.max_read};
    return hello.max_requests != 0 && hello.max_objects != 0 && hello.max_read >= 4096;
}

bool decode_open(std::span<const std::byte> bytes, Answer& answer)
{
    sluice_wire_open_answer open{};
    if (!copy_out(bytes, open) || open.blob_size > std::uint64_t{INT64_MAX}) {
        return false;
    }
    answer.opened.object = open.object;
    answer.opened.size = open.blob_size;
    std::memcpy(answer.opened.digest.data(), open.digest, sizeof open.digest);
    return true;
}

} // namespace

std::optional<Answer> decode_answer(std::span<const std::byte> bytes)
{
    sluice_wire_answer head{};
    if (bytes.size() < sizeof head) {
        return std::nullopt;
    }
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.header.size != bytes.size() || (head.header.opcode & SLUICE_WIRE_ANSWER) == 0 || head.status > 0 ||
        head.status < -kErrnoMax) {
        return std::nullopt;
    }
    Answer answer;
    answer.opcode = static_cast<std::uint16_t>(head.header.opcode & ~SLUICE_WIRE_ANSWER);
    answer.id = head.header.id;
    answer.status = head.status;
    bool right = false;
    constexpr std::uint16_t kNoMore = SLUICE_WIRE_READ; // what has failed has no more to say
    switch (answer.status != 0 ? kNoMore : answer.opcode) {
    case SLUICE_WIRE_HELLO:
        right = decode_hello(bytes, answer);
        break;
    case SLUICE_WIRE_OPEN_BLOB:
    case SLUICE_WIRE_OPEN_IMAGE:
        right = decode_open(bytes, answer);
        break;
    case SLUICE_WIRE_READ:
    case SLUICE_WIRE_CLOSE:
    case SLUICE_WIRE_CANCEL:
        right =
            bytes.size() == sizeof head && answer.opcode >= SLUICE_WIRE_HELLO && answer.opcode <= SLUICE_WIRE_CANCEL;
        break;
    default:
        break;
    }
    return right ? std::optional{answer} : std::nullopt;
}

Bytes encode_hello(std::uint32_t id)
{
    const sluice_wire_hello hello{
        header<sluice_wire_hello>(SLUICE_WIRE_HELLO, id), SLUICE_WIRE_MAGIC, SLUICE_WIRE_VERSION, SLUICE_WIRE_VERSION};
    return to_bytes(hello);
}

Bytes encode_open(std::uint32_t id, const BlobName& blob)
{
    const auto opcode = blob.is_image ? SLUICE_WIRE_OPEN_IMAGE : SLUICE_WIRE_OPEN_BLOB;
    sluice_wire_open open{header<sluice_wire_open>(opcode, id), blob.layer, blob.device};
    open.header.size = static_cast<std::uint16_t>(sizeof open + blob.name.size());
    auto bytes = to_bytes(open);
    bytes.resize(sizeof open + blob.name.size());
    std::memcpy(bytes.data() + sizeof open, blob.name.data(), blob.name.size());
    return bytes;
}

Bytes encode_read(std::uint32_t id, std::uint32_t object, std::uint64_t offset, std::uint64_t length)
{
    const sluice_wire_read read{header<sluice_wire_read>(SLUICE_WIRE_READ, id), object, 0, offset, length};
    return to_bytes(read);
}

Bytes encode_close(std::uint32_t id, std::uint32_t object)
{
    const sluice_wire_object close{header<sluice_wire_object>(SLUICE_WIRE_CLOSE, id), object, 0};
    return to_bytes(close);
}

Bytes encode_cancel(std::uint32_t id, std::uint32_t request)
{
    const sluice_wire_object cancel{header<sluice_wire_object>(SLUICE_WIRE_CANCEL, id), request, 0};
    return to_bytes(cancel);
}

std::string digest_text(const std::array<std::uint8_t, 32>& digest)
{
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text = "sha256:";
    for (const auto byte : digest) {
        text += kDigits[byte >> 4U];
        text += kDigits[byte & 0xfU];
    }
    return text;
}

} // namespace sluice::lib
