// SPDX-License-Identifier: Apache-2.0
#include "base/cleansing_delete.hpp"
#include "base/json.hpp"
#include "base/secret.hpp"
#include "tests/support/heap_scan.hpp"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace sluice {
namespace {

constexpr std::string_view kMasked = "vzggpva8}zgfp8wtaapgl8fateyp8!'";

TEST(CleansingDelete, LeavesNothingOfStringsAndJson)
{
    {
        auto password = test::unmask(kMasked);
        if (!test::heap_holds(kMasked)) {
            GTEST_SKIP() << "a sanitizer's heap is elsewhere";
        }
        const auto copy = "password=" + password;
        Json object = {{"password", password}, {"list", {password, copy}}};
        const auto text = object.dump();
        const auto again = parse_json(text, "test", 1000);
        password.append(1000, 'x'); // moves
        EXPECT_TRUE(again);
    }
    EXPECT_FALSE(test::heap_holds(kMasked));
}

TEST(CleansingDelete, LeavesNothingOfWhatCLibrariesFree)
{
    const auto masked = kMasked;
    auto* block = static_cast<char*>(std::malloc(masked.size()));
    ASSERT_NE(block, nullptr);
    for (std::size_t i = 0; i < masked.size(); ++i) {
        block[i] = static_cast<char>(masked[i] ^ test::kMask);
    }
    if (!test::heap_holds(kMasked)) {
        std::free(block);
        GTEST_SKIP() << "a sanitizer's heap is elsewhere";
    }
    auto* larger = static_cast<char*>(cleansing_realloc(block, 5000));
    ASSERT_NE(larger, nullptr);
    EXPECT_EQ(static_cast<char>(larger[5] ^ test::kMask), masked[5]);
    cleansing_free(larger);
    EXPECT_FALSE(test::heap_holds(kMasked));
}

TEST(Secret, KeepsToItsRoomAndLeavesNothing)
{
    {
        Secret secret{kMasked.size()};
        EXPECT_TRUE(secret.append(test::unmask(kMasked)));
        EXPECT_FALSE(secret.append("x"));
        const auto moved = std::move(secret);
        EXPECT_EQ(moved.view(), test::unmask(kMasked));
    }
    EXPECT_FALSE(test::heap_holds(kMasked));
}

} // namespace
} // namespace sluice
