// SPDX-License-Identifier: Apache-2.0
//
// Blocks that are allocated and were never written: what a crash, or a failed write, leaves of a direct write into a
// hole. Their zeros in the page cache are data for lseek(2), and so for the kernel.
#include "base/unique_fd.hpp"
#include "lib/blob_file.hpp"
#include "lib/sluice.h"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <algorithm>
#include <cstdint>
#include <fcntl.h>
#include <random>
#include <span>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace sluice::lib {
namespace {

constexpr std::uint64_t kHalf = 64 * 1024;
constexpr std::uint64_t kPage = 4096;

class WrittenTest : public test::FdLeakTest {
protected:
    void SetUp() override
    {
        FdLeakTest::SetUp();
        fd_.reset(::open(path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        ASSERT_EQ(::ftruncate(fd_.get(), 2 * kHalf), 0);
    }

    void TearDown() override
    {
        fd_.reset();
        FdLeakTest::TearDown();
    }

    [[nodiscard]] std::string path() const { return (dir_.path() / "blob").string(); }

    void write(std::uint64_t begin, std::uint64_t length)
    {
        const std::string bytes(length, 'x');
        ASSERT_EQ(::pwrite(fd_.get(), bytes.data(), length, static_cast<off_t>(begin)), std::ssize(bytes));
    }

    void read_all()
    {
        std::string bytes(2 * kHalf, '?');
        ASSERT_EQ(::pread(fd_.get(), bytes.data(), bytes.size(), 0), std::ssize(bytes));
    }

    /// From `at` on: is it data, and up to where?
    std::pair<bool, std::uint64_t> ask(std::uint64_t at, std::uint32_t cookie_flags)
    {
        sluice_ondemand options = SLUICE_ONDEMAND_INIT;
        options.cookie_flags = cookie_flags;
        std::uint64_t length = 2 * kHalf - at;
        unsigned long flags = 0;
        const auto source = sluice_prepare_ondemand_read(
            fd_.get(), static_cast<std::int64_t>(at), &length, 2 * kHalf, &flags, &options
        );
        EXPECT_TRUE(source == SLUICE_READ_FROM_CACHE || source == SLUICE_DOWNLOAD_FROM_SERVER) << source;
        return {source == SLUICE_READ_FROM_CACHE, at + length};
    }

    [[nodiscard]] std::shared_ptr<BlobFile> blob() const
    {
        std::shared_ptr<BlobFile> file;
        UniqueFd own{kAdoptFd, ::open(path().c_str(), O_RDONLY | O_CLOEXEC)};
        EXPECT_EQ(BlobFile::open(std::move(own), 2 * kHalf, file), 0);
        return file;
    }

    test::TempDir dir_;
    UniqueFd fd_;
};

TEST_F(WrittenTest, BlocksThatWereNeverWrittenAreAHoleWhateverIsInMemory)
{
    write(0, kHalf);
    if (::fallocate(fd_.get(), 0, kHalf, kHalf) != 0) {
        GTEST_SKIP() << "a file system without preallocation";
    }
    read_all(); // zeros are in memory now
    EXPECT_EQ(ask(0, SLUICE_COOKIE_WRITTEN_ONLY), std::pair(true, kHalf));
    EXPECT_FALSE(ask(kHalf, SLUICE_COOKIE_WRITTEN_ONLY).first);
    const auto file = blob();
    EXPECT_TRUE(file->probe(0).data);
    EXPECT_EQ(file->probe(0).length, kHalf);
    EXPECT_FALSE(file->probe(kHalf).data);
    EXPECT_EQ(file->probe(kHalf).length, kHalf);
    write(kHalf, kPage);
    EXPECT_EQ(file->probe(kHalf).length, kPage);
    EXPECT_TRUE(file->probe(kHalf).data);
}

TEST_F(WrittenTest, WhereNothingIsPreallocatedTheExtentsSayWhatTheSeeksSay)
{
    std::mt19937 random{20261123};
    for (int i = 0; i < 12; ++i) {
        write(random() % 32 * kPage, kPage);
        for (std::uint64_t at = 0; at < 2 * kHalf; at += kPage) {
            EXPECT_EQ(ask(at, SLUICE_COOKIE_WRITTEN_ONLY), ask(at, 0)) << at;
        }
    }
}

TEST_F(WrittenTest, NoHoleIsReadAheadIntoMemory)
{
    write(0, kHalf);
    ASSERT_EQ(::fsync(fd_.get()), 0);
    const auto file = blob();
    ASSERT_EQ(::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
    std::vector<std::byte> bytes(kPage);
    ASSERT_TRUE(file->probe(0).data);
    for (std::uint64_t at = 0; at < kHalf; at += kPage) { // in order, so that the kernel would like to read ahead
        ASSERT_EQ(file->read(at, bytes), 0);
    }
    ASSERT_EQ(::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
    for (std::uint64_t at = 0; at < kHalf; at += kPage) { // as whoever was lent the descriptor
        ASSERT_EQ(::pread(file->fd(), bytes.data(), kPage, static_cast<off_t>(at)), ssize_t{kPage});
    }
    void* mapped = ::mmap(nullptr, 2 * kHalf, PROT_READ, MAP_SHARED, fd_.get(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    std::vector<unsigned char> resident(2 * kHalf / kPage);
    ASSERT_EQ(::mincore(mapped, 2 * kHalf, resident.data()), 0);
    const auto holes = std::span{resident}.subspan(kHalf / kPage);
    EXPECT_TRUE(std::ranges::all_of(holes, [](unsigned char page) { return (page & 1U) == 0; }));
    EXPECT_NE(resident.front() & 1U, 0U);
    ::munmap(mapped, 2 * kHalf);
}

} // namespace
} // namespace sluice::lib
