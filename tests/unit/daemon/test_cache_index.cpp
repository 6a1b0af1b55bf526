// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/cache_index.hpp"

#include <chrono>
#include <gmock/gmock.h>
#include <initializer_list>
#include <map>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Digest blob(unsigned char number)
{
    Digest::Bytes bytes{};
    bytes[0] = std::byte{number};
    return Digest{bytes};
}

cache::WallTime at(int second)
{
    return cache::WallTime{std::chrono::seconds{second}};
}

class CacheIndexTest : public ::testing::Test {
protected:
    std::map<Digest, KeepClass> keep_;
    CacheIndex index_{[this](const Digest& identity) {
        const auto found = keep_.find(identity);
        return found == keep_.end() ? KeepClass::kForgotten : found->second;
    }};
};

TEST_F(CacheIndexTest, WhatWasNotUsedForTheLongestGoesFirst)
{
    index_.measured(blob(1), 100, at(30));
    index_.measured(blob(2), 100, at(10));
    index_.measured(blob(3), 100, at(20));
    EXPECT_EQ(index_.next(), blob(2));
    EXPECT_THAT(index_.order(), ElementsAre(blob(2), blob(3), blob(1)));
    index_.begin_use(blob(2));
    index_.end_use(blob(2), at(40));
    EXPECT_THAT(index_.order(), ElementsAre(blob(3), blob(1), blob(2)));
}

TEST_F(CacheIndexTest, UsesOfOneSecondKeepTheirOrder)
{
    for (const auto number : std::initializer_list<unsigned char>{3, 1, 2}) {
        index_.begin_use(blob(number));
        index_.end_use(blob(number), at(5));
        index_.measured(blob(number), 10, at(0));
    }
    EXPECT_THAT(index_.order(), ElementsAre(blob(3), blob(1), blob(2)));
}

TEST_F(CacheIndexTest, BlobsThatNoImageHasGoBeforeAllOthersAndPinnedOnesStay)
{
    keep_ = {{blob(1), KeepClass::kRegistered}, {blob(3), KeepClass::kPinned}};
    index_.measured(blob(1), 100, at(1));
    index_.measured(blob(2), 100, at(50));
    index_.measured(blob(3), 100, at(0));
    EXPECT_THAT(index_.order(), ElementsAre(blob(2), blob(1)));
    keep_ = {{blob(2), KeepClass::kPinned}};
    index_.reclassify(blob(1));
    index_.reclassify(blob(2));
    index_.reclassify(blob(3));
    EXPECT_THAT(index_.order(), ElementsAre(blob(3), blob(1)));
}

TEST_F(CacheIndexTest, WhatSomebodyUsesCannotGoUntilTheLastOneHasLeft)
{
    index_.measured(blob(1), 100, at(1));
    index_.begin_use(blob(1));
    index_.begin_use(blob(1));
    EXPECT_EQ(index_.next(), std::nullopt);
    EXPECT_FALSE(index_.can_go(blob(1)));
    index_.end_use(blob(1), at(2));
    EXPECT_EQ(index_.next(), std::nullopt);
    EXPECT_EQ(index_.bytes_that_can_go(), 0U);
    index_.end_use(blob(1), at(3));
    EXPECT_EQ(index_.next(), blob(1));
    EXPECT_EQ(index_.bytes_that_can_go(), 100U);
}

TEST_F(CacheIndexTest, WhatWasUsedIsMeasuredOnceMoreAndKeptInUseForAsLongAsItIs)
{
    index_.measured(blob(1), 100, at(1));
    EXPECT_THAT(index_.to_measure(), IsEmpty());
    index_.begin_use(blob(1));
    index_.measured(blob(1), 300, at(9));
    EXPECT_EQ(index_.bytes(), 300U);
    EXPECT_THAT(index_.to_measure(), ElementsAre(blob(1)));
    index_.end_use(blob(1), at(5));
    EXPECT_THAT(index_.to_measure(), ElementsAre(blob(1)));
    index_.measured(blob(1), 400, at(9));
    EXPECT_THAT(index_.to_measure(), IsEmpty());
    EXPECT_EQ(index_.bytes(), 400U);
    EXPECT_EQ(index_.entries().at(blob(1)).last_use, at(5)) << "the file's times are for blobs that are not known";
}

TEST_F(CacheIndexTest, WhatIsGoneIsForgotten)
{
    index_.measured(blob(1), 100, at(1));
    index_.measured(blob(1), 0, at(1));
    index_.measured(blob(2), 0, at(1));
    EXPECT_THAT(index_.entries(), IsEmpty());
    EXPECT_EQ(index_.bytes(), 0U);
    EXPECT_EQ(index_.count_that_can_go(), 0U);
}

TEST_F(CacheIndexTest, WhatCouldNotBeRemovedComesLast)
{
    index_.measured(blob(1), 100, at(1));
    index_.measured(blob(2), 100, at(50));
    index_.put_off(blob(1), at(50));
    EXPECT_THAT(index_.order(), ElementsAre(blob(2), blob(1)));
}

} // namespace
} // namespace sluice::daemon
