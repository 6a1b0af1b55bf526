// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/trust/pattern.hpp"
#include "trust/merkle_builder.hpp"
#include "trust/merkle_tree.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace sluice::trust {
namespace {

constexpr std::size_t kThreeLevels = 67112960; // 129 leaf blocks, 2, 1

class MerkleTreeTest : public ::testing::Test {
protected:
    explicit MerkleTreeTest(std::size_t size = kThreeLevels) : data_{pattern(size)}
    {
        MerkleBuilder builder;
        builder.update(data_);
        built_ = builder.finish();
    }

    [[nodiscard]] MerkleTree empty_tree() const
    {
        return MerkleTree{MerkleGeometry::for_blocks(data_.size() / kBlockSize), built_.root};
    }

    [[nodiscard]] std::span<const std::byte> bytes_of(const TreeRun& run) const
    {
        return std::span{built_.bytes}.subspan(run.bytes.begin(), run.bytes.size());
    }

    /// Loads what is missing for `range` as the daemon does; yields the runs that this took.
    std::vector<TreeRun> load(MerkleTree& tree, ByteRange range, std::uint64_t widen = 1)
    {
        std::vector<TreeRun> all;
        while (true) {
            const auto runs = tree.missing_for(range, widen);
            if (runs.empty()) {
                return all;
            }
            for (const auto& run : runs) {
                EXPECT_EQ(first_mismatch(bytes_of(run), tree.expected_of(run)), std::nullopt);
                tree.insert(run, bytes_of(run));
                all.push_back(run);
            }
        }
    }

    [[nodiscard]] std::span<const std::byte> data(ByteRange range) const
    {
        return std::span{data_}.subspan(range.begin(), range.size());
    }

    std::vector<std::byte> data_;
    MerkleBuilder::Tree built_;
};

TEST_F(MerkleTreeTest, LoadsFromTheTopDownAndOnlyWhatTheRangeNeeds)
{
    auto tree = empty_tree();
    const auto runs = load(tree, {kThreeLevels - 1, kThreeLevels});
    ASSERT_EQ(runs.size(), 3U);
    EXPECT_EQ(runs[0].level, 2U);
    EXPECT_EQ(runs[1].level, 1U);
    EXPECT_EQ(runs[1].first, 1U);
    EXPECT_EQ(runs[2].level, 0U);
    EXPECT_EQ(runs[2].first, 128U);
    EXPECT_EQ(runs[2].count, 1U);
    EXPECT_EQ(runs[2].bytes, (ByteRange{131 * 4096, 132 * 4096}));
    EXPECT_EQ(tree.memory(), 3 * kBlockSize);
    EXPECT_TRUE(tree.missing_for({kThreeLevels - 4096, kThreeLevels}, 1).empty());
}

TEST_F(MerkleTreeTest, ProvesRightBlocksAndNamesTheFirstWrongOne)
{
    auto tree = empty_tree();
    const ByteRange range{0, std::uint64_t{4} << 20}; // over several leaf blocks
    load(tree, range);
    const auto expected = tree.expected_of_data(range);
    ASSERT_EQ(expected.size(), range.size() / kBlockSize);
    EXPECT_EQ(first_mismatch(data(range), expected), std::nullopt);
    data_[3 * kBlockSize + 17] ^= std::byte{1};
    data_[9 * kBlockSize] ^= std::byte{1};
    EXPECT_EQ(first_mismatch(data(range), expected), 3U);
}

TEST_F(MerkleTreeTest, AWidenedRunSavesTheNextRoundTrip)
{
    auto tree = empty_tree();
    const auto runs = load(tree, {600000, 600001}, 64); // leaf block 1
    EXPECT_EQ(runs.back().first, 0U);
    EXPECT_EQ(runs.back().count, 64U);
    EXPECT_TRUE(tree.missing_for({0, std::uint64_t{32} << 20}, 1).empty());
    const auto next = tree.missing_for({(std::uint64_t{32} << 20) - 1, (std::uint64_t{32} << 20) + 1}, 64);
    ASSERT_EQ(next.size(), 1U);
    EXPECT_EQ(next[0].first, 64U);
    EXPECT_EQ(next[0].count, 64U);
}

TEST_F(MerkleTreeTest, WideningStopsWhereParentsAreNotLoaded)
{
    auto tree = empty_tree();
    const TreeRun top{2, 0, 1, {0, 4096}};
    const TreeRun second{1, 1, 1, {2 * 4096, 3 * 4096}};
    tree.insert(top, bytes_of(top));
    tree.insert(second, bytes_of(second));
    const auto runs = tree.missing_for({kThreeLevels - 1, kThreeLevels}, 1024);
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_EQ(runs[0].first, 128U); // 0 to 127 hang from the other block of level 1
    EXPECT_EQ(runs[0].count, 1U);
}

TEST_F(MerkleTreeTest, BlocksThatAreHereAreNotAskedForAgain)
{
    auto tree = empty_tree();
    load(tree, {std::uint64_t{5} << 19, (std::uint64_t{5} << 19) + 1}); // leaf block 5
    const auto runs = tree.missing_for({0, std::uint64_t{8} << 19}, 8);
    ASSERT_EQ(runs.size(), 2U);
    EXPECT_EQ(runs[0].first, 0U);
    EXPECT_EQ(runs[0].count, 5U);
    EXPECT_EQ(runs[1].first, 6U);
    EXPECT_EQ(runs[1].count, 2U);
}

TEST_F(MerkleTreeTest, AChangedHashBlockIsFoundAtEachLevel)
{
    auto tree = empty_tree();
    for (unsigned level = 3; level-- > 0;) {
        const auto runs = tree.missing_for({0, 1}, 1);
        ASSERT_EQ(runs.size(), 1U);
        ASSERT_EQ(runs[0].level, level);
        const auto good = bytes_of(runs[0]);
        std::vector<std::byte> bad{good.begin(), good.end()};
        bad[100] ^= std::byte{0x80};
        EXPECT_EQ(first_mismatch(bad, tree.expected_of(runs[0])), 0U);
        tree.insert(runs[0], good);
    }
}

TEST_F(MerkleTreeTest, NoBytesMatchWhatIsNotKnown)
{
    const auto tree = empty_tree();
    EXPECT_TRUE(tree.expected_of_data({0, 8192}).empty());
    EXPECT_EQ(first_mismatch(data({0, 8192}), tree.expected_of_data({0, 8192})), 0U);
    const TreeRun leaf{0, 3, 1, {}};
    EXPECT_TRUE(tree.expected_of(leaf).empty());
}

TEST_F(MerkleTreeTest, TooFewOrTooManyBytesNeverPass)
{
    auto tree = empty_tree();
    const ByteRange two{0, 8192};
    load(tree, two);
    const auto expected = tree.expected_of_data(two);
    EXPECT_EQ(first_mismatch(data({0, 4096}), expected), 1U);
    EXPECT_EQ(first_mismatch(data({0, 8191}), expected), 1U);
    EXPECT_EQ(first_mismatch(data({0, 12288}), expected), 2U);
    EXPECT_EQ(first_mismatch({}, {}), std::nullopt);
}

TEST_F(MerkleTreeTest, TrimDropsTheLongestUnusedLeavesAndKeepsTheUpperLevels)
{
    auto tree = empty_tree();
    const ByteRange first{0, 4096};
    const ByteRange second{std::uint64_t{1} << 19, (std::uint64_t{1} << 19) + 4096};
    load(tree, first);
    load(tree, second);
    EXPECT_EQ(tree.memory(), 4 * kBlockSize);
    EXPECT_FALSE(tree.expected_of_data(first).empty()); // used last now
    tree.trim(3 * kBlockSize);
    EXPECT_EQ(tree.memory(), 3 * kBlockSize);
    EXPECT_TRUE(tree.missing_for(first, 1).empty());
    EXPECT_FALSE(tree.missing_for(second, 1).empty());
    tree.trim(0);
    EXPECT_EQ(tree.memory(), 2 * kBlockSize);
    load(tree, second);
    EXPECT_EQ(first_mismatch(data(second), tree.expected_of_data(second)), std::nullopt);
}

TEST_F(MerkleTreeTest, TheUpperPartIsProvedAndKeptInOneGo)
{
    auto tree = empty_tree();
    const auto upper = std::span{built_.bytes}.first(tree.geometry().upper_bytes().size());
    ASSERT_TRUE(prove_upper(tree.geometry(), tree.root(), upper));
    tree.insert_upper(upper);
    const auto runs = tree.missing_for({0, kThreeLevels}, 1);
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_EQ(runs[0].level, 0U);
    EXPECT_EQ(runs[0].count, 129U);
    EXPECT_EQ(first_mismatch(bytes_of(runs[0]), tree.expected_of(runs[0])), std::nullopt);

    EXPECT_FALSE(prove_upper(tree.geometry(), tree.root(), upper.first(4096)));
    EXPECT_FALSE(prove_upper(tree.geometry(), Digest{}, upper));
    for (const std::size_t at : {0U, 4096U, 12287U}) {
        std::vector<std::byte> bad{upper.begin(), upper.end()};
        bad[at] ^= std::byte{1};
        EXPECT_FALSE(prove_upper(tree.geometry(), tree.root(), bad)) << at;
    }
}

class OneBlockTest : public MerkleTreeTest {
protected:
    OneBlockTest() : MerkleTreeTest{4096} {}
};

TEST_F(OneBlockTest, TheRootIsTheBlocksDigest)
{
    const auto tree = empty_tree();
    EXPECT_TRUE(tree.missing_for({0, 4096}, 64).empty());
    EXPECT_EQ(first_mismatch(data_, tree.expected_of_data({0, 4096})), std::nullopt);
    EXPECT_TRUE(prove_upper(tree.geometry(), tree.root(), {}));
}

class OneLevelTest : public MerkleTreeTest {
protected:
    OneLevelTest() : MerkleTreeTest{8192} {}
};

TEST_F(OneLevelTest, TheOnlyHashBlockIsRootAndLeaf)
{
    auto tree = empty_tree();
    EXPECT_TRUE(prove_upper(tree.geometry(), tree.root(), {}));
    tree.insert_upper({});
    const auto runs = load(tree, {0, 1}, 64);
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_EQ(runs[0].count, 1U);
    EXPECT_EQ(first_mismatch(data_, tree.expected_of_data({0, 8192})), std::nullopt);
}

} // namespace
} // namespace sluice::trust
