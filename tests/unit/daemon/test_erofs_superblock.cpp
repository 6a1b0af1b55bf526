// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/erofs_superblock.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace sluice::daemon {
namespace {

using ::testing::HasSubstr;

/// Runs the real mkfs.erofs over a small tree and returns the image's first block.
std::vector<std::byte> make_image(const test::TempDir& dir, const std::string& options)
{
    (void)dir.write("tree/file", std::string(70'000, 'x'));
    const auto image = dir.path() / "image";
    const auto command =
        fmt::format("mkfs.erofs --quiet {} {} {}", options, image.string(), (dir.path() / "tree").string());
    EXPECT_EQ(std::system(command.c_str()), 0) << command; // NOLINT(concurrency-mt-unsafe, cert-env33-c)
    std::vector<std::byte> block(4096);
    std::ifstream file{image, std::ios::binary};
    file.read(static_cast<char*>(static_cast<void*>(block.data())), 4096);
    EXPECT_TRUE(file);
    return block;
}

TEST(ErofsSuperblock, ReadsAPlainImage)
{
    const test::TempDir dir;
    const auto superblock = parse_erofs_superblock(make_image(dir, "-x-1"));
    ASSERT_TRUE(superblock) << superblock.error().text();
    EXPECT_EQ(superblock->block_size, 4096U);
    EXPECT_EQ(superblock->size, std::filesystem::file_size(dir.path() / "image"));
    EXPECT_FALSE(superblock->compressed);
    EXPECT_EQ(superblock->extra_devices, 0U);
}

TEST(ErofsSuperblock, SeesCompression)
{
    const test::TempDir dir;
    const auto superblock = parse_erofs_superblock(make_image(dir, "-zlz4hc"));
    ASSERT_TRUE(superblock) << superblock.error().text();
    EXPECT_TRUE(superblock->compressed);
}

TEST(ErofsSuperblock, CountsExtraDevices)
{
    const test::TempDir dir;
    const auto options = fmt::format("--chunksize=4096 --blobdev={}", (dir.path() / "blob").string());
    const auto superblock = parse_erofs_superblock(make_image(dir, options));
    ASSERT_TRUE(superblock) << superblock.error().text();
    EXPECT_EQ(superblock->extra_devices, 1U);
    EXPECT_FALSE(superblock->compressed);
}

TEST(ErofsSuperblock, RefusesWhatIsNone)
{
    std::vector<std::byte> block(4096);
    EXPECT_THAT(parse_erofs_superblock(block).error().text(), HasSubstr("magic"));
    block.resize(1100);
    EXPECT_THAT(parse_erofs_superblock(block).error().text(), HasSubstr("1100 bytes"));
}

TEST(ErofsSuperblock, RefusesBlockSizesThatCannotBe)
{
    const test::TempDir dir;
    auto block = make_image(dir, "");
    block[1024 + 12] = std::byte{40};
    EXPECT_THAT(parse_erofs_superblock(block).error().text(), HasSubstr("2^40"));
}

} // namespace
} // namespace sluice::daemon
