// SPDX-License-Identifier: Apache-2.0
#include "protocol/block_io.hpp"
#include "protocol/file_handle.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace sluice::protocol {
namespace {

using Calls = std::vector<std::pair<std::uint64_t, std::size_t>>;

TEST(WriteBlocks, RefusesWhatIsNotAligned)
{
    auto buffer = filled(2 * kBlockSize, 1);
    const WriteCall never = [](auto, auto) -> ssize_t {
        ADD_FAILURE() << "reached the file";
        return 0;
    };
    EXPECT_EQ(write_blocks(never, 512, buffer.bytes()).error().kind(), ErrorKind::kInvalid);
    EXPECT_FALSE(write_blocks(never, 0, buffer.bytes().first(512)).has_value());
    EXPECT_FALSE(write_blocks(never, 0, buffer.bytes().subspan(512, kBlockSize)).has_value());
    EXPECT_FALSE(write_blocks(never, 0x7ffffffffffff000ULL, buffer.bytes()).has_value());
}

TEST(WriteBlocks, GoesOnAfterShortWritesAtTheBlockThatWasBegun)
{
    auto buffer = filled(4 * kBlockSize, 1);
    Calls calls;
    std::vector<ssize_t> results{5000, 100, 4096, -EINTR, 1 << 20};
    const WriteCall call = [&](std::span<const std::byte> data, std::uint64_t offset) {
        calls.emplace_back(offset, data.size());
        return results.at(calls.size() - 1);
    };
    ASSERT_TRUE(write_blocks(call, 8192, buffer.bytes()).has_value());
    EXPECT_EQ(calls, (Calls{{8192, 16384}, {12288, 12288}, {12288, 12288}, {16384, 8192}, {16384, 8192}}));
}

TEST(WriteBlocks, GivesUpWhenNothingMoves)
{
    auto buffer = filled(kBlockSize, 1);
    int calls = 0;
    const WriteCall call = [&calls](auto, auto) -> ssize_t {
        ++calls;
        return 512;
    };
    const auto written = write_blocks(call, 0, buffer.bytes());
    ASSERT_FALSE(written.has_value());
    EXPECT_EQ(written.error().code(), EIO);
    EXPECT_EQ(calls, 2);
}

TEST(WriteBlocks, TellsTheErrno)
{
    auto buffer = filled(kBlockSize, 1);
    const auto written = write_blocks([](auto, auto) -> ssize_t { return -ENOSPC; }, 0, buffer.bytes());
    ASSERT_FALSE(written.has_value());
    EXPECT_EQ(written.error().code(), ENOSPC);
    EXPECT_EQ(written.error().kind(), ErrorKind::kNoSpace);
}

TEST(FindMissing, MergesRunsThatTouchAndTellsErrors)
{
    std::vector<FileRun> runs{{0, false, 4096}, {0, false, 4096}, {0, true, 4096}, {0, false, 1 << 20}};
    std::size_t at = 0;
    const ProbeCall probe = [&](auto, auto) { return runs.at(at++); };
    const auto missing = find_missing(probe, {100, 20000});
    ASSERT_TRUE(missing.has_value());
    EXPECT_EQ(*missing, (std::vector<ByteRange>{{0, 8192}, {12288, 20480}}));
    const auto failed = find_missing([](auto, auto) { return FileRun{ENOBUFS, false, 0}; }, {0, 1});
    ASSERT_FALSE(failed.has_value());
    EXPECT_EQ(failed.error().code(), ENOBUFS);
    EXPECT_FALSE(find_missing([](auto, auto) { return FileRun{0, true, 0}; }, {0, 1}).has_value());
    EXPECT_TRUE(find_missing(probe, {}).value().empty());
}

class FileHandleTest : public test::FdLeakTest {
protected:
    test::TempDir dir_;
};

TEST_F(FileHandleTest, KnowsItsHolesExactly)
{
    auto file = FileHandle::open(dir_.path() / "blob", 10 * kBlockSize + 1);
    ASSERT_TRUE(file.has_value()) << file.error().text();

    struct stat info {};

    ASSERT_EQ(::fstat((*file)->fd(), &info), 0);
    EXPECT_EQ(info.st_size, 11 * 4096);
    EXPECT_EQ((*file)->missing({0, 11 * kBlockSize}).value(), (std::vector<ByteRange>{{0, 11 * kBlockSize}}));
    auto block = filled(2 * kBlockSize, 3);
    ASSERT_TRUE((*file)->write(4 * kBlockSize, block.bytes()).has_value());
    ASSERT_TRUE((*file)->write(9 * kBlockSize, block.bytes()).has_value());
    const std::vector<ByteRange> holes{{0, 4 * kBlockSize}, {6 * kBlockSize, 9 * kBlockSize}};
    EXPECT_EQ((*file)->missing({0, 11 * kBlockSize}).value(), holes);
    EXPECT_TRUE((*file)->missing({4 * kBlockSize + 7, 6 * kBlockSize}).value().empty());
    EXPECT_EQ(
        (*file)->missing({6 * kBlockSize - 1, 6 * kBlockSize + 1}).value(),
        (std::vector<ByteRange>{{6 * kBlockSize, 7 * kBlockSize}})
    );
    EXPECT_EQ((*file)->missing({11 * kBlockSize, 12 * kBlockSize}).value().size(), 1U) << "behind the end is a hole";
}

TEST_F(FileHandleTest, KeepsWhatWasThereWhenItIsOpenedAgain)
{
    auto block = filled(kBlockSize, 0x41);
    {
        auto file = FileHandle::open(dir_.path() / "blob", kBlockSize);
        ASSERT_TRUE((*file)->write(0, block.bytes()).has_value());
        ASSERT_TRUE((*file)->sync().has_value());
    }
    auto again = FileHandle::open(dir_.path() / "blob", kBlockSize);
    EXPECT_TRUE((*again)->missing({0, kBlockSize}).value().empty());
    std::ifstream in{dir_.path() / "blob", std::ios::binary};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    EXPECT_EQ(text, std::string(kBlockSize, 'A'));
}

TEST_F(FileHandleTest, NamesTheFileInItsErrors)
{
    const auto file = FileHandle::open(dir_.path() / "absent" / "blob", 1);
    ASSERT_FALSE(file.has_value());
    EXPECT_NE(file.error().text().find("absent/blob"), std::string::npos);
    EXPECT_FALSE(FileHandle::open(dir_.path() / "huge", ~0ULL).has_value());
}

} // namespace
} // namespace sluice::protocol
