// SPDX-License-Identifier: Apache-2.0
#include "trust/merkle_geometry.hpp"

#include <gtest/gtest.h>

namespace sluice::trust {
namespace {

TEST(MerkleGeometryTest, TreeSizesOfFullAndPartLevels)
{
    struct Row {
        std::uint64_t data_size;
        std::vector<std::uint64_t> levels; // leaf first
    };

    const std::vector<Row> rows{
        {4096, {}},
        {8192, {1}},
        {524288, {1}},
        {528384, {2, 1}},
        {4096000, {8, 1}},
        {67112960, {129, 2, 1}},
        {std::uint64_t{1} << 30, {2048, 16, 1}},
        {std::uint64_t{100} << 30, {204800, 1600, 13, 1}},
    };
    for (const auto& row : rows) {
        const auto geometry = MerkleGeometry::for_size(row.data_size);
        ASSERT_TRUE(geometry) << row.data_size;
        ASSERT_EQ(geometry->levels(), row.levels.size()) << row.data_size;
        std::uint64_t blocks = 0;
        for (unsigned level = 0; level < geometry->levels(); ++level) {
            EXPECT_EQ(geometry->blocks(level), row.levels[level]);
            blocks += row.levels[level];
        }
        EXPECT_EQ(geometry->tree_size(), blocks * kBlockSize);
        EXPECT_EQ(geometry->data_size(), row.data_size);
    }
}

TEST(MerkleGeometryTest, TheTopComesFirstAndLevelsTouch)
{
    const auto geometry = MerkleGeometry::for_blocks(67112960 / kBlockSize);
    EXPECT_EQ(geometry.bytes(2), (ByteRange{0, 4096}));
    EXPECT_EQ(geometry.bytes(1), (ByteRange{4096, 3 * 4096}));
    EXPECT_EQ(geometry.bytes(0), (ByteRange{3 * 4096, 132 * 4096}));
    EXPECT_EQ(geometry.bytes(0, 128, 1), (ByteRange{131 * 4096, 132 * 4096}));
    EXPECT_EQ(geometry.upper_bytes(), (ByteRange{0, 3 * 4096}));
    EXPECT_EQ(geometry.digests_in(0, 0), 128U);
    EXPECT_EQ(geometry.digests_in(0, 128), 1U);
    EXPECT_EQ(geometry.digests_in(1, 1), 1U);
    EXPECT_EQ(geometry.digests_in(2, 0), 2U);
}

TEST(MerkleGeometryTest, OneBlockHasNoTree)
{
    const auto geometry = MerkleGeometry::for_blocks(1);
    EXPECT_EQ(geometry.tree_size(), 0U);
    EXPECT_TRUE(geometry.upper_bytes().empty());
}

TEST(MerkleGeometryTest, TheLargestDataFitsAndAnythingAboveIsRefused)
{
    const auto largest = MerkleGeometry::for_size(MerkleGeometry::kMaxDataSize);
    ASSERT_TRUE(largest);
    EXPECT_EQ(largest->levels(), MerkleGeometry::kMaxLevels);
    EXPECT_LT(largest->tree_size(), MerkleGeometry::kMaxDataSize / 126);
    for (const auto size :
         {std::uint64_t{0},
          std::uint64_t{1},
          std::uint64_t{4095},
          std::uint64_t{4097},
          MerkleGeometry::kMaxDataSize + 4096,
          ~std::uint64_t{0} - 4095}) {
        const auto refused = MerkleGeometry::for_size(size);
        ASSERT_FALSE(refused) << size;
        EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalid);
    }
}

} // namespace
} // namespace sluice::trust
