// SPDX-License-Identifier: Apache-2.0
#include "base/backoff.hpp"

#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <optional>

namespace sluice {
namespace {

constexpr std::uint32_t kLeast = 0;
constexpr auto kMost = std::numeric_limits<std::uint32_t>::max();
constexpr BackoffPolicy kPolicy{
    .first = milliseconds{100}, .longest = milliseconds{1000}, .longest_retry_after = milliseconds{5000}, .tries = 8};

TEST(BackoffDelay, DoublesUpToTheLongest)
{
    const long ceilings[] = {100, 200, 400, 800, 1000, 1000, 1000};
    unsigned attempt = 0;
    for (const auto ceiling : ceilings) {
        ++attempt;
        EXPECT_EQ(backoff_delay(kPolicy, attempt, std::nullopt, kLeast), milliseconds{ceiling / 2}) << attempt;
        EXPECT_EQ(backoff_delay(kPolicy, attempt, std::nullopt, kMost), milliseconds{ceiling - 1}) << attempt;
    }
}

TEST(BackoffDelay, ScalesTheUpperHalfByTheRandomNumber)
{
    EXPECT_EQ(backoff_delay(kPolicy, 4, std::nullopt, 1U << 31), milliseconds{600});
    EXPECT_EQ(backoff_delay(kPolicy, 4, std::nullopt, 1U << 30), milliseconds{500});
}

TEST(BackoffDelay, EndsWithTheTries)
{
    EXPECT_TRUE(backoff_delay(kPolicy, 7, std::nullopt, kLeast));
    EXPECT_FALSE(backoff_delay(kPolicy, 8, std::nullopt, kLeast));
    EXPECT_FALSE(backoff_delay(kPolicy, 9, milliseconds{1}, kLeast));
    EXPECT_FALSE(backoff_delay(kPolicy, 0, std::nullopt, kLeast)); // nothing has failed
    BackoffPolicy once = kPolicy;
    once.tries = 1;
    EXPECT_FALSE(backoff_delay(once, 1, std::nullopt, kLeast));
}

TEST(BackoffDelay, WaitsAsLongAsTheServerWishesWithinALimit)
{
    EXPECT_EQ(backoff_delay(kPolicy, 1, milliseconds{3000}, kMost), milliseconds{3000});
    EXPECT_EQ(backoff_delay(kPolicy, 1, milliseconds{60'000}, kMost), milliseconds{5000});
    EXPECT_EQ(
        backoff_delay(kPolicy, 5, milliseconds{10}, kLeast), milliseconds{500}
    ); // a wish for less shortens nothing
    EXPECT_EQ(backoff_delay(kPolicy, 1, milliseconds{0}, kLeast), milliseconds{50});
}

TEST(BackoffDelay, AttemptsWithoutEndStayAtTheLongest)
{
    BackoffPolicy patient = kPolicy;
    patient.tries = std::numeric_limits<unsigned>::max();
    EXPECT_EQ(backoff_delay(patient, 1'000'000'000, std::nullopt, kLeast), milliseconds{500});
}

} // namespace
} // namespace sluice
