// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "protocol/cookie_path.hpp"

#include <gtest/gtest.h>
#include <string>

namespace sluice::protocol {
namespace {

struct Vector {
    const char* volume;
    const char* cookie;
    std::uint32_t volume_hash;
    std::uint32_t cookie_hash;
    const char* path;
};

TEST(CookiePath, AgreesWithTheKernelsVectors)
{
    for (const Vector& v : {
             Vector{"erofs,test.img", "test.img", 0xd13a83f4, 0x69ef6ef7, "cache/Ierofs,test.img/@f7/Dtest.img"},
             Vector{"erofs,test.img", "blob1.img", 0xd13a83f4, 0x457569cb, "cache/Ierofs,test.img/@cb/Dblob1.img"},
             Vector{"erofs,dom0", "test.img", 0x4d680e2f, 0x1853d014, "cache/Ierofs,dom0/@14/Dtest.img"},
             Vector{"erofs,a", "a", 0xcc745fa5, 0xb1cdd417, "cache/Ierofs,a/@17/Da"},
         }) {
        EXPECT_EQ(volume_hash(v.volume), v.volume_hash) << v.volume;
        EXPECT_EQ(cookie_hash(volume_hash(v.volume), v.cookie), v.cookie_hash) << v.cookie;
        EXPECT_EQ(cookie_path(v.volume, v.cookie), v.path);
    }
    EXPECT_EQ(fan_directory("erofs,u.img", "u.img"), "@25");
    EXPECT_EQ(fan_directory("erofs,x.img", "x.img"), "@c5");
    EXPECT_EQ(fan_directory("erofs,dom0", "a/b.img"), "@18");
}

TEST(CookiePath, TheFanIsTwoDigitsWide)
{
    bool small = false;
    for (int i = 0; i < 200; ++i) {
        const auto fan = fan_directory("erofs,d", "blob" + std::to_string(i));
        EXPECT_EQ(fan.size(), 3U);
        small = small || fan[1] == '0';
    }
    EXPECT_TRUE(small);
}

TEST(CookiePath, CooksKeysAsTheKernelDoes)
{
    EXPECT_EQ(cook_key("test.img"), "Dtest.img");
    EXPECT_EQ(cook_key(std::string{"\0\0\0\1", 4}), "S1");
    EXPECT_EQ(cook_key(std::string{"\1\0\0\0", 4}), "T1");
    EXPECT_EQ(cook_key("a/b"), "E0xZyo");
    EXPECT_EQ(cook_key("dir/blob 1"), "E2ABCsL86rL968N000");
    EXPECT_EQ(cook_key("a/b.img"), "E2xZyoKAmrD100");
    EXPECT_EQ(cook_key("\x7f"), "D\x7f");
    EXPECT_EQ(cook_key("\x80").front(), 'T'); // 80 is shorter as one little-endian word than as 80000000 or in base 64
    EXPECT_EQ(cook_key(std::string{"\0\0\0\1\0\0\0\0\0\0\0\2", 12}), "S1,,2");
}

TEST(CookiePath, ADigestIsKeptReadable)
{
    const std::string digest(64, 'a');
    EXPECT_EQ(cook_key(digest), "D" + digest);
    EXPECT_TRUE(validate_cookie_key(digest).has_value());
}

TEST(CookiePath, KeysThatHurtTheKernelAreRefused)
{
    EXPECT_TRUE(validate_cookie_key(std::string(252, 'k')).has_value());
    for (const std::string& bad :
         {std::string(253, 'k'),
          std::string(255, 'k'),
          std::string(256, 'k'),
          std::string{},
          std::string{"a/b"},
          std::string{"a\0b", 3},
          std::string{"a\nb"},
          std::string{"\x7f"}}) {
        EXPECT_FALSE(validate_cookie_key(bad).has_value()) << printable(bad);
    }
    EXPECT_TRUE(validate_domain(std::string(248, 'd')).has_value());
    EXPECT_FALSE(validate_domain(std::string(249, 'd')).has_value());
    EXPECT_FALSE(validate_domain("a/b").has_value());
    EXPECT_EQ(volume_directory(erofs_volume_key(std::string(248, 'd'))).size(), 255U);
}

TEST(CookiePath, EncodesTheFileAttributeAsTheKernelDoes)
{
    const auto value = encode_file_xattr(0x581000);
    EXPECT_EQ(encode_hex(value), "000000000058100000000000000000000100");
    EXPECT_EQ(check_file_xattr(value), 0x581000U);
}

TEST(CookiePath, RefusesAttributesThatTheKernelWouldCallStale)
{
    const auto good = encode_file_xattr(4096);
    EXPECT_FALSE(check_file_xattr(std::span{good}.first(17)).has_value());
    std::vector<std::byte> longer(good.begin(), good.end());
    longer.push_back(std::byte{0});
    EXPECT_FALSE(check_file_xattr(longer).has_value());
    auto other_type = good;
    other_type[16] = std::byte{0};
    EXPECT_FALSE(check_file_xattr(other_type).has_value());
    auto dirty = good;
    dirty[17] = std::byte{4};
    EXPECT_FALSE(check_file_xattr(dirty).has_value());
    auto negative = good;
    negative[0] = std::byte{0x80};
    EXPECT_FALSE(check_file_xattr(negative).has_value());
    EXPECT_FALSE(check_file_xattr({}).has_value());
}

TEST(CookiePath, AVolumesAttributeIsFourZeros)
{
    const auto value = encode_volume_xattr();
    EXPECT_EQ(encode_hex(value), "00000000");
    EXPECT_TRUE(check_volume_xattr(value));
    EXPECT_FALSE(check_volume_xattr({}));
    auto other = value;
    other[3] = std::byte{1};
    EXPECT_FALSE(check_volume_xattr(other));
}

} // namespace
} // namespace sluice::protocol
