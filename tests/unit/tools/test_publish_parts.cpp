// SPDX-License-Identifier: Apache-2.0
#include "base/json.hpp"
#include "base/text.hpp"
#include "tests/unit/trust/test_keys.hpp"
#include "tools/publish/chunk_index.hpp"
#include "tools/publish/erofs_head.hpp"
#include "tools/publish/oci_documents.hpp"
#include "tools/publish/packer.hpp"

#include <algorithm>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::tools {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class ErofsHeadTest : public ::testing::Test {
protected:
    ErofsHeadTest()
    {
        put(1024, 0xe0f5e1e2, 4);
        put(1036, 12, 1);
        put(1060, 10, 4);
        put(1104, 0x8, 4);
        put(1110, 2, 2);
        put(1112, 9, 2);
    }

    void put(std::size_t at, std::uint64_t value, std::size_t size)
    {
        for (std::size_t i = 0; i < size; ++i) {
            front_[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
        }
    }

    [[nodiscard]] Result<ErofsHead> parse() const { return ErofsHead::parse(front_, 40960, "image"); }

    [[nodiscard]] ErrorKind refused() const
    {
        const auto head = parse();
        EXPECT_FALSE(head);
        return head ? ErrorKind::kInternal : head.error().kind();
    }

    std::vector<std::byte> front_ = std::vector<std::byte>(4096);
};

TEST_F(ErofsHeadTest, DeviceTagsAreTheHexDigestsOfTheBlobs)
{
    auto head = parse();
    ASSERT_TRUE(head) << head.error().text();
    ASSERT_EQ(head->devices(), 2U);
    const auto digest = *Digest::parse_hex(std::string(64, 'e'));
    head->set_device(1, digest, 77);
    const auto slot = head->front().subspan(1152 + 128, 128);
    EXPECT_EQ(as_text(slot.first(64)), digest.hex());
    EXPECT_EQ(slot[64], std::byte{77});
    EXPECT_TRUE(std::all_of(slot.begin() + 65, slot.end(), [](std::byte b) { return b == std::byte{}; }));
    const auto untouched = head->front().subspan(1152, 128);
    EXPECT_TRUE(std::all_of(untouched.begin(), untouched.end(), [](std::byte b) { return b == std::byte{}; }));
}

TEST_F(ErofsHeadTest, WhatIsNoWholeImageIsInvalid)
{
    put(1060, 11, 4);
    EXPECT_EQ(refused(), ErrorKind::kInvalid); // ten blocks, where the superblock says eleven
    put(1060, 10, 4);
    put(1024, 0, 4);
    EXPECT_EQ(refused(), ErrorKind::kInvalid);
    front_.resize(4095);
    EXPECT_EQ(refused(), ErrorKind::kInvalid);
}

TEST_F(ErofsHeadTest, OtherBlockSizesAreUnsupported)
{
    put(1036, 9, 1);
    EXPECT_EQ(refused(), ErrorKind::kUnsupported);
}

TEST_F(ErofsHeadTest, AWrongChecksumIsInvalid)
{
    put(1032, 1, 4);
    put(1028, 0x12345678, 4);
    EXPECT_EQ(refused(), ErrorKind::kInvalid);
}

TEST_F(ErofsHeadTest, ADeviceTableOutsideTheImageIsInvalid)
{
    put(1110, 24, 2); // 9 + 24 slots of 128 bytes are more than a block
    EXPECT_EQ(refused(), ErrorKind::kInvalid);
    put(1110, 1, 2);
    put(1112, 8, 2); // over the superblock itself
    EXPECT_EQ(refused(), ErrorKind::kInvalid);
    put(1112, 0xffff, 2);
    EXPECT_EQ(refused(), ErrorKind::kInvalid);
}

TEST(ChunkIndexTest, HeaderAndEntriesOfACutStream)
{
    ChunkIndexBuilder builder;
    const std::vector<std::byte> data(kIndexChunk + 5, std::byte{7});
    builder.update(std::span{data}.first(10));
    builder.update(std::span{data}.subspan(10));
    const auto index = builder.finish();
    ASSERT_EQ(index.size(), 32U + 2 * 48U);
    const auto hex = encode_hex(std::span{index}.first(32));
    EXPECT_EQ(hex, "cde4ec67010000000500100000000000020000000120" + std::string(20, '0'));
    EXPECT_EQ(encode_hex(std::span{index}.subspan(80, 16)), "00001000000000000000100000000000");
    const auto tail = trust::sha256(std::span{data}.first(5));
    EXPECT_EQ(encode_hex(std::span{index}.subspan(96, 32)), tail.hex());
    EXPECT_EQ(builder.finish().size(), 32U); // as new: no chunks
}

TEST(ChunkIndexTest, AWholeNumberOfChunksHasNoEmptyOneAtTheEnd)
{
    ChunkIndexBuilder builder;
    builder.update(std::vector<std::byte>(2 * kIndexChunk));
    EXPECT_EQ(builder.finish().size(), 32U + 2 * 48U);
}

TEST(SignatureDocumentsTest, OthersSignaturesAreKeptAndRubbishIsRefused)
{
    const auto key = *trust::PrivateKey::parse(trust::test_keys::kP256Private, "k");
    const auto other = *trust::PrivateKey::parse(trust::test_keys::kOtherPrivate, "o");
    const Digest manifest;
    const auto first = *trust::make_simple_signing("r/a", manifest, key);
    const auto second = *trust::make_simple_signing("r/a", manifest, other);
    const auto one = add_signature("", first);
    ASSERT_TRUE(one);
    EXPECT_TRUE(has_signature(one->manifest.bytes, first.payload, key.public_key()));
    EXPECT_FALSE(has_signature(one->manifest.bytes, first.payload, other.public_key()));
    const auto two = add_signature(one->manifest.bytes, second);
    ASSERT_TRUE(two);
    EXPECT_TRUE(has_signature(two->manifest.bytes, first.payload, key.public_key()));
    EXPECT_TRUE(has_signature(two->manifest.bytes, first.payload, other.public_key()));
    EXPECT_EQ(Json::parse(two->config.bytes)["rootfs"]["diff_ids"].size(), 2U);
    for (const auto* rubbish : {"x", "{}", R"({"layers":{}})", R"({"layers":[{}]})", R"({"layers":[1]})"}) {
        EXPECT_FALSE(add_signature(rubbish, first)) << rubbish;
        EXPECT_FALSE(has_signature(rubbish, first.payload, key.public_key())) << rubbish;
    }
}

TEST(SignatureDocumentsTest, AFullManifestTakesNoMore)
{
    const auto key = *trust::PrivateKey::parse(trust::test_keys::kEd25519Private, "k");
    const auto signature = *trust::make_simple_signing("r/a", Digest{}, key);
    std::string manifest;
    for (std::size_t i = 0; i < trust::kMaxSignatures; ++i) {
        manifest = add_signature(manifest, signature)->manifest.bytes;
    }
    EXPECT_FALSE(add_signature(manifest, signature));
}

TEST(MkfsArgumentsTest, OptionsAreHandedOnAndTheUuidIsOursUnlessSet)
{
    PublishOptions options;
    options.compression = "lz4hc,9";
    options.mkfs_options = {"--all-root"};
    const auto plain = mkfs_arguments(options, "/t/image", {}, "/src");
    const std::vector<std::string> expected{
        "mkfs.erofs",
        "--quiet",
        "-U00000000-0000-0000-0000-000000000000",
        "-zlz4hc,9",
        "--all-root",
        "--",
        "/t/image",
        "/src"};
    EXPECT_EQ(plain, expected);
    options = {};
    options.chunk_size = 65536;
    options.mkfs_options = {"-U11111111-1111-1111-1111-111111111111"};
    const auto chunked = mkfs_arguments(options, "/t/image", "/t/data", "/src");
    EXPECT_THAT(chunked, Contains("--chunksize=65536"));
    EXPECT_THAT(chunked, Contains("--blobdev=/t/data"));
    EXPECT_THAT(chunked, Not(Contains("-U00000000-0000-0000-0000-000000000000")));
}

TEST(MkfsArgumentsTest, ChunksAndCompressionExcludeEachOther)
{
    PublishOptions options;
    options.chunk_size = 4096;
    EXPECT_TRUE(check_mkfs_options(options));
    options.compression = "lz4";
    const auto checked = check_mkfs_options(options);
    ASSERT_FALSE(checked);
    EXPECT_THAT(checked.error().text(), HasSubstr("compressed"));
}

} // namespace
} // namespace sluice::tools
