// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/hole_map.hpp"
#include "tests/support/fake_blob.hpp"

#include <gmock/gmock.h>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kMib = 1U << 20;
constexpr std::uint64_t kSize = 9 * kMib + 100; // three windows, the last one cut; the last block is not whole

class HoleMapTest : public ::testing::Test {
protected:
    void put(ByteRange range)
    {
        const auto blocks = range.align_out(kBlockSize);
        auto full = AlignedBuffer::allocate(blocks.size());
        full.set_size(blocks.size());
        ASSERT_TRUE(file_->write(blocks.begin(), full.bytes()));
    }

    [[nodiscard]] std::vector<ByteRange> missing(ByteRange range) { return map_.missing(range).value(); }

    std::shared_ptr<test::MemoryHandle> file_ =
        std::make_shared<test::MemoryHandle>(ByteRange{0, kSize}.align_out(kBlockSize).end());
    HoleMap map_{file_, kSize};
};

TEST_F(HoleMapTest, AnswersInWholeBlocksInsideOfTheBlob)
{
    EXPECT_THAT(missing({5000, 5001}), ElementsAre(ByteRange(4096, 8192)));
    EXPECT_THAT(missing({9 * kMib, 20 * kMib}), ElementsAre(ByteRange(9 * kMib, 9 * kMib + 4096)));
    EXPECT_THAT(missing({20 * kMib, 21 * kMib}), IsEmpty());
    EXPECT_THAT(missing({4096, 4096}), IsEmpty());
}

TEST_F(HoleMapTest, FindsWhatWasThereBefore)
{
    put({4 * kMib - 8192, 4 * kMib + 4096});
    EXPECT_THAT(
        missing({4 * kMib - 12288, 4 * kMib + 8192}),
        ElementsAre(ByteRange(4 * kMib - 12288, 4 * kMib - 8192), ByteRange(4 * kMib + 4096, 4 * kMib + 8192))
    );
}

TEST_F(HoleMapTest, HolesGoOnAcrossWindows)
{
    EXPECT_THAT(missing({0, kSize}), ElementsAre(ByteRange(0, 9 * kMib + 4096)));
}

TEST_F(HoleMapTest, IsToldOfWritesAndAsksTheFileOnlyOnce)
{
    EXPECT_THAT(missing({0, 8192}), ElementsAre(ByteRange(0, 8192)));
    put({4096, 8192});
    EXPECT_THAT(missing({0, 8192}), ElementsAre(ByteRange(0, 8192))) << "remembered, not asked";
    map_.written({4096, 8192});
    EXPECT_THAT(missing({0, 8192}), ElementsAre(ByteRange(0, 4096)));
    map_.written({8 * kMib, 8 * kMib + 4096}); // never looked at: the file will tell
    EXPECT_THAT(missing({8 * kMib, 8 * kMib + 4096}), ElementsAre(ByteRange(8 * kMib, 8 * kMib + 4096)));
}

TEST_F(HoleMapTest, LookingAgainBelievesTheFile)
{
    EXPECT_THAT(missing({0, 8192}), ElementsAre(ByteRange(0, 8192)));
    map_.written({0, 8192});
    EXPECT_THAT(missing({0, 8192}), IsEmpty());
    EXPECT_THAT(map_.look_again({0, 4096}).value(), ElementsAre(ByteRange(0, 4096)));
    put({0, 4096});
    EXPECT_THAT(map_.look_again({0, 4096}).value(), IsEmpty());
}

} // namespace
} // namespace sluice::daemon
