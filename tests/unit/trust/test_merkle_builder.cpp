// SPDX-License-Identifier: Apache-2.0
//
// The known answers were made with fsverity 1.5 and veritysetup 2.6.1; where these tools are
// installed, they are asked again.
#include "base/text.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/trust/pattern.hpp"
#include "trust/hasher.hpp"
#include "trust/merkle_builder.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>

namespace sluice::trust {
namespace {

struct Known {
    std::size_t length;
    std::string_view root;
    std::string_view fsverity;
};

constexpr std::array kKnown{
    Known{
        0,
        "0000000000000000000000000000000000000000000000000000000000000000",
        "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"},
    Known{
        1,
        "ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7",
        "b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551"},
    Known{
        4096,
        "d010f6d76d0eb4dce5d5b5b34014a8a157ec4380a66c24d7d455a9bf652db14a",
        "87a706bdba32be89a173dc11d6a91c08165b4dcfcf743988c94595e82934a41a"},
    Known{
        4097,
        "a9b5f7c2d29a731dfb468aa645ece5a56eda6999784f73ee8fc787615c1ab555",
        "5c6077f10edc31c27b2a65cbaa199e2cfd36998bf104ccd2f7395eb509682064"},
    Known{
        524288,
        "69cc67e9922b924975d1d1502dc6f748fffbba4dae9764d81f38b18aae96c29e",
        "9613b285b37589320574d16f1447444fb68289259e661f4418dc6374ef3c5b9f"},
    Known{
        528384,
        "8a243e4fd47741ef27d75bc56b732030fca5416b7c90cfa3268f49e9521ef5e3",
        "d88e5c2aea165a8d8864af881899bbd4e3a59c3a951524b8226b4a0c6044c343"},
    Known{
        4096000,
        "7eb3f832f5e4f064449e82cbf987543374fee3e04d40facc8a314fbfbb120c6e",
        "c34d515101317e54592ad423e052042e666cfe36616635d81118ba6ef491efee"},
    Known{
        4096123,
        "9fb090a66f8d4cf8c68b3f58cdb84fb7e51496ee4dfd8a6892d4e1253d7ea174",
        "912f61e10fb788d4ed0e12e5ff35f4314b66e32533fe5dc8ce9a79d5a15fd3eb"},
    Known{
        67112960,
        "7c39bfd0c35739309b03b55e4cf4aa9dc687e0ff60ec0ebd3e1c0a8b9590e32a",
        "b49ea9ea4ac72fe8b15645ac6e292dcaa95441c5c8cd69fd66aef86a61eedc7a"},
};

TEST(MerkleBuilderTest, KnownAnswers)
{
    MerkleBuilder builder;
    for (const auto& known : kKnown) {
        builder.update(pattern(known.length));
        const auto tree = builder.finish();
        EXPECT_EQ(tree.root.hex(), known.root) << known.length;
        EXPECT_EQ(tree.data_size, known.length);
        EXPECT_EQ(fsverity_digest(tree.root, known.length).hex(), known.fsverity) << known.length;
    }
}

TEST(MerkleBuilderTest, HowTheDataIsCutMakesNoDifference)
{
    const auto data = pattern(528384);
    MerkleBuilder whole;
    whole.update(data);
    const auto expected = whole.finish();
    for (const std::size_t piece : {1000U, 4095U, 4097U, 12288U}) {
        MerkleBuilder builder;
        for (std::size_t at = 0; at < data.size(); at += piece) {
            builder.update(std::span{data}.subspan(at, std::min(piece, data.size() - at)));
        }
        const auto tree = builder.finish();
        EXPECT_EQ(tree.root, expected.root) << piece;
        EXPECT_EQ(tree.bytes, expected.bytes) << piece;
    }
}

TEST(MerkleBuilderTest, TheTreesFirstBlockHashesToTheRoot)
{
    MerkleBuilder builder;
    builder.update(pattern(528384));
    const auto tree = builder.finish();
    ASSERT_EQ(tree.bytes.size(), 3 * kBlockSize);
    EXPECT_EQ(sha256(std::span{tree.bytes}.first(kBlockSize)), tree.root);
}

// The output of a shell command, or nothing when it fails.
std::string output_of(const std::string& command)
{
    std::string text;
    std::FILE* pipe = ::popen(command.c_str(), "r"); // NOLINT(cert-env33-c): fixed commands on our own files
    if (pipe == nullptr) {
        return text;
    }
    std::array<char, 512> piece{};
    while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) {
        text += piece.data();
    }
    return ::pclose(pipe) == 0 ? text : std::string{};
}

class MerkleToolsTest : public ::testing::TestWithParam<std::size_t> {};

TEST_P(MerkleToolsTest, VeritysetupAcceptsTheTreeAndRefusesAChangedOne)
{
    if (output_of("command -v veritysetup").empty()) {
        GTEST_SKIP() << "veritysetup is not installed";
    }
    const test::TempDir dir;
    const auto data = pattern(GetParam());
    MerkleBuilder builder;
    builder.update(data);
    const auto tree = builder.finish();
    std::string bytes(data.size() + tree.bytes.size(), '\0');
    std::memcpy(bytes.data(), data.data(), data.size());
    std::memcpy(bytes.data() + data.size(), tree.bytes.data(), tree.bytes.size());
    const auto verify = [&](const std::string& content) {
        const auto file = dir.write("image", content);
        return output_of(fmt::format(
            "veritysetup verify --no-superblock --salt=- --hash-offset={} --data-blocks={} {} {} "
            "{} 2>&1 && echo good",
            data.size(),
            data.size() / kBlockSize,
            file.string(),
            file.string(),
            tree.root.hex()
        ));
    };
    EXPECT_NE(verify(bytes).find("good"), std::string::npos);
    for (const auto at : {std::size_t{5}, data.size() - 1, data.size() + 40}) {
        auto changed = bytes;
        changed[at] = static_cast<char>(changed[at] ^ 1);
        EXPECT_EQ(verify(changed), "") << "a change at " << at;
    }
}

TEST_P(MerkleToolsTest, FsverityComputesTheSameDigest)
{
    if (output_of("command -v fsverity").empty()) {
        GTEST_SKIP() << "fsverity is not installed";
    }
    const test::TempDir dir;
    const auto data = pattern(GetParam());
    MerkleBuilder builder;
    builder.update(data);
    const auto root = builder.finish().root;
    const auto file = dir.write("data", as_text(data));
    EXPECT_EQ(output_of("fsverity digest --compact " + file.string()), fsverity_digest(root, data.size()).hex() + "\n");
}

INSTANTIATE_TEST_SUITE_P(Sizes, MerkleToolsTest, ::testing::Values(8192, 524288, 528384, 4096000));

} // namespace
} // namespace sluice::trust
