// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "trust/blob_annotations.hpp"

#include <cstring>
#include <gtest/gtest.h>

namespace sluice::trust {
namespace {

constexpr std::uint64_t kData = 528384; // a tree of three blocks
constexpr std::uint64_t kTree = 3 * 4096;

Annotations good()
{
    return {
        {kHashOffsetAnnotation, "528384"},
        {kRootDigestAnnotation, "sha256:" + std::string(64, '1')},
        {kBlockSizeAnnotation, "4096"},
    };
}

Annotations with(const char* name, const std::string& value)
{
    auto annotations = good();
    annotations[name] = value;
    return annotations;
}

ErrorKind refused(const Annotations& annotations, std::uint64_t blob_size)
{
    const auto trust = parse_blob_trust(annotations, blob_size);
    EXPECT_FALSE(trust);
    return trust ? ErrorKind::kInternal : trust.error().kind();
}

TEST(BlobAnnotationsTest, GivesSizeRootAndTree)
{
    const auto trust = parse_blob_trust(good(), kData + kTree);
    ASSERT_TRUE(trust) << trust.error().text();
    EXPECT_EQ(trust->erofs_size, kData);
    EXPECT_EQ(trust->tree_offset, kData);
    EXPECT_EQ(trust->root.hex(), std::string(64, '1'));
    EXPECT_EQ(trust->geometry.tree_size(), kTree);
    EXPECT_FALSE(trust->index);
}

TEST(BlobAnnotationsTest, BlockSizeMayBeLeftOut)
{
    auto annotations = good();
    annotations.erase(kBlockSizeAnnotation);
    EXPECT_TRUE(parse_blob_trust(annotations, kData + kTree));
}

TEST(BlobAnnotationsTest, NoneAtAllIsNotFoundAndHalfIsInvalid)
{
    EXPECT_EQ(refused({}, kData), ErrorKind::kNotFound);
    for (const auto* name : {kHashOffsetAnnotation, kRootDigestAnnotation}) {
        auto annotations = good();
        annotations.erase(name);
        EXPECT_EQ(refused(annotations, kData + kTree), ErrorKind::kInvalid);
    }
}

TEST(BlobAnnotationsTest, TheTreeMustLieInsideTheBlob)
{
    EXPECT_EQ(refused(good(), kData + kTree - 1), ErrorKind::kInvalid);
    EXPECT_EQ(refused(good(), kData), ErrorKind::kInvalid);
    EXPECT_EQ(refused(good(), kData - 1), ErrorKind::kInvalid);
    EXPECT_EQ(refused(good(), 0), ErrorKind::kInvalid);
}

TEST(BlobAnnotationsTest, BadOffsetsAreInvalid)
{
    for (const auto* text :
         {"",
          "0",
          "1",
          "4095",
          "-4096",
          "+528384",
          "528384 ",
          "0x81000",
          "528385",
          "18446744073709547520",
          "99999999999999999999"}) {
        EXPECT_EQ(refused(with(kHashOffsetAnnotation, text), ~std::uint64_t{0}), ErrorKind::kInvalid) << text;
    }
}

TEST(BlobAnnotationsTest, OtherHashesAndBlockSizesAreUnsupportedOthersInvalid)
{
    EXPECT_EQ(refused(with(kBlockSizeAnnotation, "512"), kData + kTree), ErrorKind::kUnsupported);
    EXPECT_EQ(refused(with(kBlockSizeAnnotation, ""), kData + kTree), ErrorKind::kUnsupported);
    EXPECT_EQ(
        refused(with(kRootDigestAnnotation, "sha512:" + std::string(128, '1')), kData + kTree), ErrorKind::kUnsupported
    );
    EXPECT_EQ(refused(with(kRootDigestAnnotation, std::string(64, '1')), kData + kTree), ErrorKind::kInvalid);
    EXPECT_EQ(refused(with(kRootDigestAnnotation, "sha256:12"), kData + kTree), ErrorKind::kInvalid);
}

TEST(BlobAnnotationsTest, TheChunkIndexIsFoundAndBoundsChecked)
{
    auto annotations = with(kIndexRangeAnnotation, "540672:541000");
    annotations[kIndexDigestAnnotation] = "sha256:" + std::string(64, '2');
    const auto trust = parse_blob_trust(annotations, 541000);
    ASSERT_TRUE(trust) << trust.error().text();
    ASSERT_TRUE(trust->index);
    EXPECT_EQ(trust->index->range, (ByteRange{540672, 541000}));
    EXPECT_EQ(trust->index->digest.hex(), std::string(64, '2'));

    annotations[kIndexRangeAnnotation] = "540672";
    const auto open = parse_blob_trust(annotations, 541000);
    ASSERT_TRUE(open && open->index);
    EXPECT_EQ(open->index->range.end(), 541000U);

    for (const auto* text : {"540672:541001", "541000:541000", "541000", "9:8", "1:2:3", ":", "", "a:b"}) {
        annotations[kIndexRangeAnnotation] = text;
        EXPECT_EQ(refused(annotations, 541000), ErrorKind::kInvalid) << text;
    }
    annotations[kIndexRangeAnnotation] = "540672:541000";
    annotations[kIndexDigestAnnotation] = "sha256:zz";
    EXPECT_EQ(refused(annotations, 541000), ErrorKind::kInvalid);
}

TEST(BlobAnnotationsTest, Roles)
{
    EXPECT_EQ(*parse_role({}), LayerRole::kLower);
    EXPECT_EQ(*parse_role({{kRoleAnnotation, "overlay-lower"}}), LayerRole::kLower);
    EXPECT_EQ(*parse_role({{kRoleAnnotation, "overlay-data"}}), LayerRole::kData);
    EXPECT_EQ(*parse_role({{kRoleAnnotation, "device"}}), LayerRole::kDevice);
    const auto unknown = parse_role({{kRoleAnnotation, "Device"}});
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().kind(), ErrorKind::kUnsupported);
}

class LocateTreeTest : public ::testing::Test {
protected:
    LocateTreeTest()
    {
        put(0, "verity");
        put_number(8, 1, 4);
        put_number(12, 1, 4);
        put(32, "sha256");
        put_number(64, 4096, 4);
        put_number(68, 4096, 4);
        put_number(72, kData / 4096, 8);
    }

    void put(std::size_t at, std::string_view text) { std::memcpy(block_.data() + at, text.data(), text.size()); }

    void put_number(std::size_t at, std::uint64_t value, std::size_t size)
    {
        for (std::size_t i = 0; i < size; ++i) {
            block_[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
        }
    }

    [[nodiscard]] Result<std::uint64_t> locate(std::uint64_t blob_size = kData + 4096 + kTree) const
    {
        return locate_tree(*parse_blob_trust(good(), kData + kTree), blob_size, block_);
    }

    std::vector<std::byte> block_ = std::vector<std::byte>(4096);
};

TEST_F(LocateTreeTest, ASuperblockIsSkipped)
{
    const auto offset = locate();
    ASSERT_TRUE(offset) << offset.error().text();
    EXPECT_EQ(*offset, kData + 4096);
}

TEST_F(LocateTreeTest, AnythingElseIsTheTreeItself)
{
    block_[6] = std::byte{1};
    EXPECT_EQ(*locate(), kData);
    block_.clear();
    EXPECT_EQ(*locate(), kData);
}

TEST_F(LocateTreeTest, TheTreeBehindTheSuperblockMustLieInsideTheBlob)
{
    EXPECT_TRUE(locate(kData + 4096 + kTree));
    const auto cut = locate(kData + 4096 + kTree - 1);
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().kind(), ErrorKind::kInvalid);
    block_.resize(511);
    EXPECT_FALSE(locate());
}

TEST_F(LocateTreeTest, SaltsAndOtherParametersAreUnsupported)
{
    struct Row {
        std::size_t at;
        std::uint64_t value;
        std::size_t size;
    };

    for (const auto& row :
         {Row{8, 2, 4}, Row{12, 0, 4}, Row{32, 'x', 1}, Row{64, 512, 4}, Row{68, 512, 4}, Row{80, 32, 2}}) {
        const auto before = block_;
        put_number(row.at, row.value, row.size);
        const auto offset = locate();
        ASSERT_FALSE(offset) << row.at;
        EXPECT_EQ(offset.error().kind(), ErrorKind::kUnsupported) << row.at;
        block_ = before;
    }
    put_number(72, 7, 8);
    EXPECT_EQ(locate().error().kind(), ErrorKind::kInvalid);
}

} // namespace
} // namespace sluice::trust
