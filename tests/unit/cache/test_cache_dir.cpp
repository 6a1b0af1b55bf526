// SPDX-License-Identifier: Apache-2.0
#include "cache/cache_dir.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::cache {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CacheDirectory : public test::FdLeakTest {
protected:
    [[nodiscard]] static unsigned mode(const fs::path& path)
    {
        struct stat about = {};
        EXPECT_EQ(::stat(path.c_str(), &about), 0) << path;
        return about.st_mode & 07777U;
    }

    test::TempDir dir_;
};

TEST_F(CacheDirectory, IsLaidOutPrivately)
{
    const auto opened = CacheDir::open(dir_.path());
    ASSERT_TRUE(opened) << opened.error().text();
    for (const auto& path : {opened->own(), opened->trees(), opened->prefill()}) {
        EXPECT_TRUE(fs::is_directory(path)) << path;
        EXPECT_EQ(mode(path), 0700U) << path;
    }
    EXPECT_EQ(opened->database().parent_path(), opened->own());
    EXPECT_EQ(opened->root(), dir_.path());
}

TEST_F(CacheDirectory, KeepsWhatIsThereAndClosesItToOthers)
{
    const auto kept = dir_.write("sluice/trees/abc", "x");
    fs::permissions(dir_.path() / "sluice", fs::perms{0755});
    ASSERT_TRUE(CacheDir::open(dir_.path()));
    EXPECT_TRUE(fs::exists(kept));
    EXPECT_EQ(mode(dir_.path() / "sluice"), 0700U);
}

TEST_F(CacheDirectory, ASecondDaemonIsToldWhoHasIt)
{
    auto first = CacheDir::open(dir_.path());
    ASSERT_TRUE(first);
    const auto second = CacheDir::open(dir_.path());
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().text(), HasSubstr(dir_.path().string()));
    EXPECT_THAT(second.error().text(), HasSubstr("process " + std::to_string(::getpid())));
    first = fail(ErrorKind::kCancelled, "closed");
    EXPECT_TRUE(CacheDir::open(dir_.path())) << "the lock goes with its holder";
}

TEST_F(CacheDirectory, AStaleLockFileIsNoLock)
{
    (void)dir_.write("sluice/lock", "999999999999999\ngarbage");
    EXPECT_TRUE(CacheDir::open(dir_.path()));
}

TEST_F(CacheDirectory, TheLastHoldersNoteIsReadByTheNext)
{
    EXPECT_EQ(CacheDir::open(dir_.path())->last_note(), "") << "of a new directory";
    {
        const auto holder = CacheDir::open(dir_.path());
        EXPECT_EQ(holder->last_note(), "in use") << "of a holder that noted nothing";
        ASSERT_TRUE(holder->note("all is well"));
        ASSERT_TRUE(holder->sync());
    }
    const auto next = CacheDir::open(dir_.path());
    EXPECT_EQ(next->last_note(), "all is well");
}

TEST_F(CacheDirectory, TheNoteIsReplacedAsSoonAsTheDirectoryIsInUse)
{
    const auto lock = dir_.path() / "sluice/lock";
    (void)CacheDir::open(dir_.path())->note("all is well");
    const auto size = fs::file_size(lock);
    const auto holder = CacheDir::open(dir_.path());
    std::string text;
    std::ifstream in{lock};
    std::getline(in, text, '\0');
    EXPECT_THAT(text, AllOf(HasSubstr("\nin use\n"), Not(HasSubstr("well"))));
    EXPECT_EQ(fs::file_size(lock), size) << "what is overwritten needs no room on a full disk";
}

TEST_F(CacheDirectory, ANoteThatWasCopiedSaysNothing)
{
    const auto lock = dir_.path() / "sluice/lock";
    (void)CacheDir::open(dir_.path())->note("all is well");
    fs::copy_file(lock, dir_.path() / "copy");
    fs::rename(dir_.path() / "copy", lock);
    EXPECT_EQ(CacheDir::open(dir_.path())->last_note(), "");
}

TEST_F(CacheDirectory, WhatCannotHoldACacheIsRefusedByName)
{
    const auto refuse = [](const fs::path& path, ErrorKind kind, const std::string& why) {
        const auto opened = CacheDir::open(path);
        ASSERT_FALSE(opened) << path;
        EXPECT_EQ(opened.error().kind(), kind) << opened.error().text();
        EXPECT_THAT(opened.error().text(), HasSubstr(path.string()));
        EXPECT_THAT(opened.error().text(), HasSubstr(why));
    };
    refuse("relative/path", ErrorKind::kInvalid, "absolute");
    refuse(dir_.path() / "missing", ErrorKind::kNotFound, "No such file");
    refuse(dir_.write("file", ""), ErrorKind::kInternal, "Not a directory");

    const auto open_to_all = dir_.path() / "open";
    fs::create_directory(open_to_all);
    fs::permissions(open_to_all, fs::perms{01777});
    refuse(open_to_all, ErrorKind::kDenied, "mode 1777");

    const auto linked = dir_.path() / "linked";
    fs::create_directory(linked);
    fs::create_directory_symlink(dir_.path(), linked / "sluice");
    EXPECT_FALSE(CacheDir::open(linked)) << "a link in place of our own directory";
    EXPECT_FALSE(fs::exists(dir_.path() / "trees"));
}

TEST_F(CacheDirectory, TellsTheSpaceOfItsFileSystem)
{
    const auto opened = CacheDir::open(dir_.path());
    ASSERT_TRUE(opened);
    const auto figures = opened->space();
    ASSERT_TRUE(figures);
    EXPECT_GT(figures->block_size, 0U);
    EXPECT_GT(figures->blocks, 0U);
    EXPECT_LE(figures->blocks_available, figures->blocks);
    EXPECT_EQ(figures->bytes_available(), figures->blocks_available * figures->block_size);
}

TEST(SpaceFigures, LevelsAreTheKernels)
{
    const SpaceLimits limits{.brun = 30, .bcull = 20, .bstop = 10, .frun = 7, .fcull = 5, .fstop = 1};
    SpaceFigures figures{.block_size = 4096, .blocks = 1099, .blocks_available = 0, .files = 0, .files_free = 0};
    const auto level = [&](std::uint64_t available) {
        figures.blocks_available = available;
        return figures.level(limits);
    };
    // A hundredth of 1099 blocks is 10.
    EXPECT_EQ(level(300), SpaceLevel::kAmple);
    EXPECT_EQ(level(299), SpaceLevel::kBelowRun);
    EXPECT_EQ(level(200), SpaceLevel::kBelowRun);
    EXPECT_EQ(level(199), SpaceLevel::kCull);
    EXPECT_EQ(level(100), SpaceLevel::kCull);
    EXPECT_EQ(level(99), SpaceLevel::kStop);
    EXPECT_EQ(figures.bytes_before_stop(limits), 0U);
    figures.blocks_available = 103;
    EXPECT_EQ(figures.bytes_before_stop(limits), 3U * 4096U);
}

TEST(SpaceFigures, TheScarcerOfBlocksAndInodesCounts)
{
    SpaceFigures figures{.block_size = 1, .blocks = 1000, .blocks_available = 900, .files = 1000, .files_free = 30};
    EXPECT_EQ(figures.level({}), SpaceLevel::kCull);
    figures.files_free = 5;
    EXPECT_EQ(figures.level({}), SpaceLevel::kStop);
    figures.files = 0;
    EXPECT_EQ(figures.level({}), SpaceLevel::kAmple) << "a file system that counts no inodes";
}

} // namespace
} // namespace sluice::cache
