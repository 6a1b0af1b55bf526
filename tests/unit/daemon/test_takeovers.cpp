// SPDX-License-Identifier: Apache-2.0
#include "daemon/takeovers.hpp"
#include "tests/support/descriptor_keeper.hpp"

#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

TEST(Takeovers, EachSuccessorCountsOneMore)
{
    test::DescriptorKeeper keeper;
    for (std::uint64_t life = 0; life < 3; ++life) {
        auto descriptors = keeper.next_life();
        EXPECT_EQ(count_takeover(descriptors), life);
    }
}

TEST(Takeovers, WhereNobodyKeepsThereAreNone)
{
    FdStore descriptors;
    EXPECT_EQ(count_takeover(descriptors), 0U);
    EXPECT_EQ(count_takeover(descriptors), 0U);
}

} // namespace
} // namespace sluice::daemon
