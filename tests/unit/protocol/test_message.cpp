// SPDX-License-Identifier: Apache-2.0
#include "protocol/message.hpp"
#include "protocol/uapi.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

namespace sluice::protocol {
namespace {

using Bytes = std::vector<std::byte>;

template <typename T>
void put(Bytes& out, const T& value)
{
    const auto at = out.size();
    out.resize(at + sizeof value);
    std::memcpy(out.data() + at, &value, sizeof value);
}

void put(Bytes& out, const std::string& text)
{
    const auto at = out.size();
    out.resize(at + text.size());
    std::memcpy(out.data() + at, text.data(), text.size());
}

Bytes message(std::uint32_t opcode, const Bytes& body, std::uint32_t object = 7, std::int64_t length_error = 0)
{
    Bytes out;
    const auto length = static_cast<std::int64_t>(sizeof(uapi::MessageHeader) + body.size()) + length_error;
    put(out, uapi::MessageHeader{42, opcode, static_cast<std::uint32_t>(length), object});
    out.insert(out.end(), body.begin(), body.end());
    return out;
}

Bytes open_body(const std::string& volume, const std::string& cookie, std::uint32_t fd = 9)
{
    Bytes body;
    const auto volume_size = static_cast<std::uint32_t>(volume.size());
    put(body, uapi::OpenBody{volume_size, static_cast<std::uint32_t>(cookie.size()), fd, 0});
    put(body, volume);
    put(body, cookie);
    return body;
}

Bytes read_body(std::uint64_t offset, std::uint64_t length)
{
    Bytes body;
    put(body, uapi::ReadBody{offset, length});
    return body;
}

BadMessage bad(const Bytes& bytes)
{
    const auto decoded = decode(bytes);
    EXPECT_FALSE(decoded.has_value());
    return decoded ? BadMessage{} : decoded.error();
}

TEST(Message, AnOpenLosesTheVolumesTerminatorOnly)
{
    const auto decoded = decode(message(uapi::kOpOpen, open_body(std::string{"erofs,dom\0", 10}, "blob")));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().text;
    const auto& open = std::get<OpenMessage>(*decoded);
    EXPECT_EQ(open.message.value, 42U);
    EXPECT_EQ(open.object.value, 7U);
    EXPECT_EQ(open.fd, 9);
    EXPECT_EQ(open.volume, "erofs,dom");
    EXPECT_EQ(open.cookie, "blob");
}

TEST(Message, KeysAreBinary)
{
    const std::string cookie{"a\0b\xff\0", 5};
    const auto decoded = decode(message(uapi::kOpOpen, open_body(std::string{"v\0w\0", 4}, cookie)));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(std::get<OpenMessage>(*decoded).volume, (std::string{"v\0w", 3}));
    EXPECT_EQ(std::get<OpenMessage>(*decoded).cookie, cookie);
}

TEST(Message, TheLongestKeysPass)
{
    const auto volume = std::string(255, 'v') + '\0';
    const auto decoded = decode(message(uapi::kOpOpen, open_body(volume, std::string(255, 'c'))));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(std::get<OpenMessage>(*decoded).cookie.size(), 255U);
}

TEST(Message, AReadAndACloseAreTakenApart)
{
    const auto read = decode(message(uapi::kOpRead, read_body(8192, 4096)));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(std::get<ReadMessage>(*read).range, (ByteRange{8192, 12288}));
    const auto close = decode(message(uapi::kOpClose, {}, uapi::kNoObject));
    ASSERT_TRUE(close.has_value());
    EXPECT_EQ(std::get<CloseMessage>(*close).object.value, uapi::kNoObject);
}

TEST(Message, AReadKeepsAnOffsetThatIsNotAligned)
{
    const auto read = decode(message(uapi::kOpRead, read_body(0x4c1400, 0x400)));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(std::get<ReadMessage>(*read).range.begin(), 0x4c1400U);
}

TEST(Message, EveryTruncationIsRefused)
{
    for (const auto& whole :
         {message(uapi::kOpOpen, open_body("v", "c")), message(uapi::kOpRead, read_body(0, 1)), message(1, {})}) {
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const auto fault = bad(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).fault;
            EXPECT_EQ(fault, size < 16 ? MessageFault::kShort : MessageFault::kLength) << size;
        }
    }
}

TEST(Message, ALengthThatLiesIsRefusedAndTheReadCanStillBeAnswered)
{
    for (const std::int64_t error : {-16, -1, 1, 4096}) {
        const auto refused = bad(message(uapi::kOpRead, read_body(0, 4096), 7, error));
        EXPECT_EQ(refused.fault, MessageFault::kLength);
        EXPECT_EQ(refused.kind, BadMessage::Kind::kRead);
        EXPECT_EQ(refused.message.value, 42U);
        EXPECT_EQ(refused.object.value, 7U);
    }
}

TEST(Message, ABadOpenStillTellsTheDescriptorToClose)
{
    const auto by_length = bad(message(uapi::kOpOpen, open_body("v", "c", 33), 7, 5));
    EXPECT_EQ(by_length.fd, 33);
    auto body = open_body("v", "c", 34);
    body.push_back(std::byte{0});
    const auto by_keys = bad(message(uapi::kOpOpen, body));
    EXPECT_EQ(by_keys.fault, MessageFault::kKeys);
    EXPECT_EQ(by_keys.fd, 34);
    const auto by_object = bad(message(uapi::kOpOpen, open_body("v", "c", 35), uapi::kNoObject));
    EXPECT_EQ(by_object.fault, MessageFault::kDescriptor);
    EXPECT_EQ(by_object.fd, 35);
}

TEST(Message, ADescriptorBeyondIntIsRefusedAndNotPassedOn)
{
    const auto refused = bad(message(uapi::kOpOpen, open_body("v", "c", 0xffffffffU)));
    EXPECT_EQ(refused.fault, MessageFault::kDescriptor);
    EXPECT_FALSE(refused.fd.has_value());
}

TEST(Message, KeySizesThatWrapAroundAreRefused)
{
    for (const auto& [volume_size, cookie_size] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
             {0xffffffffU, 3}, {3, 0xffffffffU}, {0x80000001U, 0x80000001U}, {0, 2}, {2, 0}, {257, 1}, {1, 256}}) {
        Bytes body;
        put(body, uapi::OpenBody{volume_size, cookie_size, 9, 0});
        put(body, std::string{"xy"});
        EXPECT_EQ(bad(message(uapi::kOpOpen, body)).fault, MessageFault::kKeys) << volume_size << ' ' << cookie_size;
    }
    EXPECT_EQ(bad(message(uapi::kOpOpen, open_body(std::string(1, '\0'), "c"))).fault, MessageFault::kKeys);
}

TEST(Message, ReadsOfNothingOrBeyondAllFilesAreRefused)
{
    constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
    constexpr auto kHalf = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    for (const auto& [offset, length] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
             {0, 0}, {kMax, 1}, {1, kMax}, {kHalf, 1}, {kHalf + 1, 0}, {4096, kHalf}}) {
        const auto refused = bad(message(uapi::kOpRead, read_body(offset, length)));
        EXPECT_EQ(refused.fault, MessageFault::kRange);
        EXPECT_EQ(refused.kind, BadMessage::Kind::kRead);
    }
    EXPECT_TRUE(decode(message(uapi::kOpRead, read_body(kHalf - 1, 1))).has_value());
}

TEST(Message, BodiesOfTheWrongSizeAreRefused)
{
    EXPECT_EQ(bad(message(uapi::kOpOpen, Bytes(15))).fault, MessageFault::kBody);
    EXPECT_EQ(bad(message(uapi::kOpRead, Bytes(15))).fault, MessageFault::kBody);
    EXPECT_EQ(bad(message(uapi::kOpRead, Bytes(17))).fault, MessageFault::kBody);
    EXPECT_EQ(bad(message(uapi::kOpClose, Bytes(1))).fault, MessageFault::kBody);
}

TEST(Message, UnknownOpcodesAreRefused)
{
    for (const std::uint32_t opcode : {3U, 4U, 0x7fffffffU, 0xffffffffU}) {
        const auto refused = bad(message(opcode, read_body(0, 4096)));
        EXPECT_EQ(refused.fault, MessageFault::kUnknownOpcode);
        EXPECT_EQ(refused.kind, BadMessage::Kind::kUnknown);
    }
}

TEST(Message, EveryFaultHasAName)
{
    for (std::size_t i = 0; i < kMessageFaults; ++i) {
        EXPECT_NE(to_string(static_cast<MessageFault>(i)), "unknown");
    }
}

} // namespace
} // namespace sluice::protocol
