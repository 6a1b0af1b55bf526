// SPDX-License-Identifier: Apache-2.0
#include "lib/wire.h"
#include "protocol/socket_message.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <gmock/gmock.h>
#include <span>

namespace sluice::protocol {
namespace {

using ::testing::HasSubstr;

template <typename T>
std::vector<std::byte> bytes_of(const T& message, std::string_view tail = {})
{
    std::vector<std::byte> bytes(sizeof message + tail.size());
    std::memcpy(bytes.data(), &message, sizeof message);
    std::ranges::copy(std::as_bytes(std::span{tail}), bytes.begin() + sizeof message);
    const auto size = static_cast<std::uint16_t>(bytes.size());
    std::memcpy(bytes.data() + offsetof(sluice_wire_header, size), &size, sizeof size);
    return bytes;
}

sluice_wire_header header(std::uint16_t opcode)
{
    return {opcode, 0, 5};
}

const std::string kDigest = "sha256:" + std::string(64, 'c');

template <typename T>
T decoded(const std::vector<std::byte>& bytes)
{
    const auto message = decode_socket_message(bytes);
    EXPECT_TRUE(message) << message.error().text();
    const auto* of_kind = message ? std::get_if<T>(&*message) : nullptr;
    EXPECT_NE(of_kind, nullptr);
    return of_kind != nullptr ? *of_kind : T{};
}

std::string fault(const std::vector<std::byte>& bytes)
{
    const auto message = decode_socket_message(bytes);
    return message ? std::string{} : message.error().text();
}

TEST(SocketMessage, EachKindIsTakenApart)
{
    EXPECT_TRUE(decoded<SocketHello>(bytes_of(sluice_wire_hello{header(1), SLUICE_WIRE_MAGIC, 1, 9})).known_version);
    EXPECT_FALSE(decoded<SocketHello>(bytes_of(sluice_wire_hello{header(1), SLUICE_WIRE_MAGIC, 2, 9})).known_version);
    const auto blob = decoded<SocketOpenBlob>(bytes_of(sluice_wire_open{header(2), 0, 0}, kDigest));
    EXPECT_EQ(blob.digest.to_string(), kDigest);
    EXPECT_EQ(blob.id, WireId{5});
    const auto image = decoded<SocketOpenImage>(bytes_of(sluice_wire_open{header(3), 4, 2}, "r.io/a:b"));
    EXPECT_EQ(image.reference, "r.io/a:b");
    EXPECT_EQ(image.layer, 4U);
    EXPECT_EQ(image.device, 2U);
    const auto read = decoded<SocketRead>(bytes_of(sluice_wire_read{header(4), 7, 0, 100, 200}));
    EXPECT_EQ(read.object, 7U);
    EXPECT_EQ(read.offset, 100U);
    EXPECT_EQ(read.length, 200U);
    EXPECT_EQ(decoded<SocketClose>(bytes_of(sluice_wire_object{header(5), 7, 0})).object, 7U);
    EXPECT_EQ(decoded<SocketCancel>(bytes_of(sluice_wire_object{header(6), 8, 0})).request, WireId{8});
}

TEST(SocketMessage, LengthsAreNotBelieved)
{
    auto read = bytes_of(sluice_wire_read{header(4), 7, 0, 100, 200});
    for (std::size_t size = 0; size < read.size(); ++size) {
        EXPECT_NE(fault({read.begin(), read.begin() + static_cast<std::ptrdiff_t>(size)}), "") << size;
    }
    read.push_back({});
    EXPECT_THAT(fault(read), HasSubstr("claims"));
    EXPECT_THAT(fault(bytes_of(sluice_wire_read{header(4), 7, 0, 100, 200}, "x")), HasSubstr("READ of 33 bytes"));
    EXPECT_NE(fault(bytes_of(sluice_wire_open{header(2), 0, 0})), "");
    EXPECT_NE(fault(bytes_of(sluice_wire_open{header(3), 0, 0}, std::string(769, 'r'))), "");
    EXPECT_EQ(fault(bytes_of(sluice_wire_open{header(3), 0, 0}, std::string(768, 'r'))), "");
}

TEST(SocketMessage, ValuesThatMakeNoSenseAreRefused)
{
    EXPECT_NE(fault(bytes_of(sluice_wire_hello{header(1), 0, 1, 1})), "");
    EXPECT_NE(fault(bytes_of(sluice_wire_open{header(2), 1, 0}, kDigest)), "");
    EXPECT_NE(fault(bytes_of(sluice_wire_open{header(2), 0, 0}, "sha256:\n")), "");
    EXPECT_NE(fault(bytes_of(sluice_wire_read{header(4), 7, 0, 100, 0})), "");
    EXPECT_NE(fault(bytes_of(sluice_wire_read{header(4), 7, 1, 100, 1})), "");
    EXPECT_NE(fault(bytes_of(sluice_wire_read{header(4), 7, 0, ~0ULL, 2})), "");
    EXPECT_NE(fault(bytes_of(sluice_wire_object{header(5), 7, 9})), "");
    EXPECT_THAT(fault(bytes_of(header(0))), HasSubstr("opcode 0"));
    EXPECT_THAT(fault(bytes_of(header(0x8004))), HasSubstr("opcode"));
}

TEST(SocketMessage, AnswersHaveTheRequestsIdAndOpcode)
{
    const auto status = encode_status(SLUICE_WIRE_READ, WireId{9}, -EIO);
    sluice_wire_answer answer{};
    ASSERT_EQ(status.size(), sizeof answer);
    std::memcpy(&answer, status.data(), sizeof answer);
    EXPECT_EQ(answer.header.opcode, SLUICE_WIRE_READ | SLUICE_WIRE_ANSWER);
    EXPECT_EQ(answer.header.size, sizeof answer);
    EXPECT_EQ(answer.header.id, 9U);
    EXPECT_EQ(answer.status, -EIO);

    const auto opened = encode_opened(SLUICE_WIRE_OPEN_IMAGE, WireId{3}, 8, 4096, *Digest::parse(kDigest));
    sluice_wire_open_answer open{};
    ASSERT_EQ(opened.size(), sizeof open);
    std::memcpy(&open, opened.data(), sizeof open);
    EXPECT_EQ(open.answer.header.size, sizeof open);
    EXPECT_EQ(open.object, 8U);
    EXPECT_EQ(open.blob_size, 4096U);
    EXPECT_EQ(open.digest[31], 0xccU);
}

} // namespace
} // namespace sluice::protocol
