// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "trust/hasher.hpp"

#include <gtest/gtest.h>
#include <thread>

namespace sluice::trust {
namespace {

constexpr std::string_view kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4

TEST(HasherTest, KnownAnswers)
{
    EXPECT_EQ(sha256({}).hex(), kEmpty);
    EXPECT_EQ(sha256(as_byte_span("abc")).hex(), kAbc);
    const Sha256Function function = sha256;
    EXPECT_EQ(function(as_byte_span("abc")).hex(), kAbc);
}

TEST(HasherTest, PiecesGiveTheDigestOfTheWholeAndTheHasherIsNewAfterwards)
{
    Hasher hasher;
    hasher.update(as_byte_span("a"));
    hasher.update({});
    hasher.update(as_byte_span("bc"));
    EXPECT_EQ(hasher.finish().hex(), kAbc);
    EXPECT_EQ(hasher.finish().hex(), kEmpty);
    hasher.update(as_byte_span("abc"));
    EXPECT_EQ(hasher.finish().hex(), kAbc);
}

TEST(HasherTest, EachThreadHashesOnItsOwn)
{
    std::string elsewhere;
    std::thread{[&] { elsewhere = sha256(as_byte_span("abc")).hex(); }}.join();
    EXPECT_EQ(elsewhere, kAbc);
}

} // namespace
} // namespace sluice::trust
