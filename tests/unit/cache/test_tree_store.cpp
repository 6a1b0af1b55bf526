// SPDX-License-Identifier: Apache-2.0
#include "cache/tree_store.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstddef>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

namespace sluice::cache {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> blocks(std::size_t count, char fill)
{
    return std::vector<std::byte>(count * kBlockSize, static_cast<std::byte>(fill));
}

class Trees : public test::FdLeakTest {
protected:
    void write(std::size_t first_block, const std::vector<std::byte>& data)
    {
        const auto done = store_.write(blob_, first_block * kBlockSize, data);
        ASSERT_TRUE(done) << done.error().text();
    }

    [[nodiscard]] auto read(std::size_t first_block, std::size_t count) const
    {
        return store_.read(blob_, {first_block * kBlockSize, (first_block + count) * kBlockSize});
    }

    [[nodiscard]] fs::path file() const { return dir_.path() / blob_.hex(); }

    test::TempDir dir_;
    TreeStore store_{dir_.path()};
    Digest blob_;
};

TEST_F(Trees, WhatWasWrittenComesBack)
{
    write(3, blocks(2, 'a'));
    EXPECT_EQ(read(3, 2), blocks(2, 'a'));
    EXPECT_EQ(read(4, 1), blocks(1, 'a'));
    EXPECT_EQ(
        store_.read(blob_, {3 * kBlockSize + 32, 3 * kBlockSize + 64}), std::vector<std::byte>(32, std::byte{'a'})
    );
}

TEST_F(Trees, HolesAreAbsentAndNotZeros)
{
    EXPECT_FALSE(read(0, 1)) << "no file yet";
    write(8, blocks(1, 'a'));
    write(10, blocks(1, 'b'));
    EXPECT_FALSE(read(0, 1));
    EXPECT_FALSE(read(7, 2));
    EXPECT_FALSE(read(8, 3)) << "a hole in the middle";
    EXPECT_FALSE(read(10, 2)) << "beyond the end";
    EXPECT_FALSE(read(20, 1));
    EXPECT_TRUE(read(8, 1));
    write(9, blocks(1, 'c'));
    EXPECT_TRUE(read(8, 3));
}

TEST_F(Trees, ZerosThatWereWrittenArePresent)
{
    write(0, blocks(2, '\0'));
    EXPECT_EQ(read(0, 2), blocks(2, '\0'));
}

TEST_F(Trees, BlobsHaveTreesOfTheirOwn)
{
    write(0, blocks(1, 'a'));
    Digest::Bytes other{};
    other.fill(std::byte{7});
    EXPECT_FALSE(store_.read(Digest{other}, {0, kBlockSize}));
}

TEST_F(Trees, DamagedFilesAreAbsent)
{
    write(0, blocks(2, 'a'));
    fs::resize_file(file(), 5000);
    EXPECT_FALSE(read(0, 2)) << "cut short";
    EXPECT_TRUE(read(0, 1));
    fs::remove(file());
    fs::create_directory(file());
    EXPECT_FALSE(read(0, 1)) << "a directory";
    fs::remove(file());
    fs::create_symlink("/etc/passwd", file());
    EXPECT_FALSE(store_.read(blob_, {0, 16})) << "a link to elsewhere";
    EXPECT_FALSE(store_.write(blob_, 0, blocks(1, 'x')));
}

TEST_F(Trees, RangesThatFitNoFileAreAbsent)
{
    write(0, blocks(1, 'a'));
    constexpr auto kTop = std::numeric_limits<std::uint64_t>::max();
    EXPECT_FALSE(store_.read(blob_, {kTop - kBlockSize, kTop}));
    EXPECT_FALSE(store_.read(blob_, {0, kTop}));
}

TEST_F(Trees, ARemovedTreeIsGone)
{
    write(0, blocks(1, 'a'));
    EXPECT_TRUE(store_.remove(blob_));
    EXPECT_FALSE(read(0, 1));
    EXPECT_TRUE(store_.remove(blob_)) << "nothing there is no error";
}

TEST_F(Trees, AWriteThatFailsNamesTheFile)
{
    const TreeStore nowhere{dir_.path() / "missing"};
    const auto done = nowhere.write(blob_, 0, blocks(1, 'a'));
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().text(), ::testing::HasSubstr(blob_.hex()));
    EXPECT_FALSE(nowhere.read(blob_, {0, kBlockSize}));
}

} // namespace
} // namespace sluice::cache
