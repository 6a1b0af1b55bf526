// SPDX-License-Identifier: Apache-2.0
#include "protocol/backing_file.hpp"
#include "protocol/cookie_path.hpp"
#include "protocol/hygiene.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <thread>
#include <vector>

namespace sluice::protocol {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSize = 8 * kBlockSize;

class BackingFileTest : public test::FdLeakTest {
protected:
    [[nodiscard]] Prepopulation::Target blob(std::uint64_t size = kSize) const
    {
        return {dir_.path(), dir_.path() / "private", "erofs,dom0", "blob", size};
    }

    [[nodiscard]] fs::path place() const { return dir_.path() / cookie_path("erofs,dom0", "blob"); }

    [[nodiscard]] std::shared_ptr<FileHandle> open(std::uint64_t size = kSize) const
    {
        auto opened = open_backing_file(blob(size));
        EXPECT_TRUE(opened) << opened.error().text();
        return opened ? *opened : nullptr;
    }

    static void fill_first_block(FileHandle& file)
    {
        auto data = filled(kBlockSize, 7);
        ASSERT_TRUE(file.write(0, data.bytes()));
    }

    static std::uint64_t missing(const FileHandle& file)
    {
        std::uint64_t bytes = 0;
        const auto holes = file.missing({0, kSize});
        EXPECT_TRUE(holes);
        for (const auto& hole : *holes) {
            bytes += hole.size();
        }
        return bytes;
    }

    test::TempDir dir_;
};

TEST_F(BackingFileTest, ANewFileIsAllHoleAndHasWhatTheKernelAsksFor)
{
    const auto file = open();
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(missing(*file), kSize);
    EXPECT_EQ(file->path(), place());
    const auto found = find_committed(dir_.path(), "erofs,dom0", "blob");
    ASSERT_TRUE(found) << found.error().text();
    EXPECT_EQ(found->size, kSize);
    EXPECT_EQ(found->present, 0U);
    EXPECT_EQ(Hygiene::look(place()).kept, 1U);
}

TEST_F(BackingFileTest, WhatWasFilledIsThereWhenItIsOpenedAgain)
{
    fill_first_block(*open());
    const auto again = open();
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(missing(*again), kSize - kBlockSize);
}

TEST_F(BackingFileTest, TwoWhoHaveItOpenSeeEachOthersBlocks)
{
    const auto one = open();
    const auto other = open();
    fill_first_block(*one);
    EXPECT_EQ(missing(*other), kSize - kBlockSize);
}

TEST_F(BackingFileTest, AFileOfAnotherSizeIsReplaced)
{
    fill_first_block(*open(2 * kSize));
    const auto file = open();
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(missing(*file), kSize);
}

TEST_F(BackingFileTest, AFileWithoutItsAttributeIsReplaced)
{
    fill_first_block(*open());
    ASSERT_EQ(::lremovexattr(place().c_str(), kCacheXattr), 0);
    const auto file = open();
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(missing(*file), kSize);
    EXPECT_TRUE(find_committed(dir_.path(), "erofs,dom0", "blob"));
}

TEST_F(BackingFileTest, AShortenedFileGetsItsLengthBackWithHoles)
{
    fill_first_block(*open());
    fs::resize_file(place(), kBlockSize);
    const auto file = open();
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(missing(*file), kSize - kBlockSize);
    EXPECT_EQ(fs::file_size(place()), kSize);
}

TEST_F(BackingFileTest, ASymbolicLinkIsNotFollowed)
{
    open().reset();
    fs::remove(place());
    std::ofstream{dir_.path() / "elsewhere"} << "precious";
    fs::create_symlink(dir_.path() / "elsewhere", place());
    const auto opened = open_backing_file(blob());
    EXPECT_FALSE(opened);
    EXPECT_EQ(fs::file_size(dir_.path() / "elsewhere"), 8U);
}

TEST_F(BackingFileTest, ManyWhoMakeItAtOnceGetTheSameFile)
{
    std::vector<std::shared_ptr<FileHandle>> files(8);
    {
        std::vector<std::jthread> threads;
        for (auto& file : files) {
            threads.emplace_back([&file, target = blob()] {
                if (auto opened = open_backing_file(target)) {
                    file = *opened;
                }
            });
        }
    }
    for (const auto& file : files) {
        ASSERT_NE(file, nullptr);

        struct stat info {};

        struct stat named {};

        ASSERT_EQ(::fstat(file->fd(), &info), 0);
        ASSERT_EQ(::stat(place().c_str(), &named), 0);
        EXPECT_EQ(info.st_ino, named.st_ino);
    }
    EXPECT_TRUE(fs::is_empty(dir_.path() / "private"));
}

} // namespace
} // namespace sluice::protocol
