// SPDX-License-Identifier: Apache-2.0
//
// The C face over real sparse files.
#include "base/unique_fd.hpp"
#include "lib/sluice.h"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

class SparseFile : public FdLeakTest {
protected:
    void SetUp() override
    {
        FdLeakTest::SetUp();
        const auto path = dir_.path() / "backing";
        fd_ = UniqueFd{kAdoptFd, ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
        ASSERT_GE(fd_.get(), 0);
        struct statfs about = {};
        ASSERT_EQ(::fstatfs(fd_.get(), &about), 0);
        block_ = static_cast<std::int64_t>(about.f_bsize);
        ASSERT_EQ(::ftruncate(fd_.get(), 16 * block_), 0);
        if (::lseek(fd_.get(), 0, SEEK_DATA) >= 0) {
            GTEST_SKIP() << dir_.path() << " is on a file system that does not tell holes from data";
        }
    }

    void TearDown() override
    {
        fd_.reset();
        FdLeakTest::TearDown();
    }

    void fill(std::int64_t first_block, std::int64_t blocks)
    {
        const std::string bytes(static_cast<std::size_t>(blocks * block_), 'x');
        ASSERT_EQ(::pwrite(fd_.get(), bytes.data(), bytes.size(), first_block * block_), std::ssize(bytes));
    }

    sluice_source probe(std::int64_t first_block, std::int64_t blocks, unsigned long flags = 0)
    {
        len_ = static_cast<std::uint64_t>(blocks * block_);
        flags_ = flags;
        return sluice_prepare_ondemand_read(fd_.get(), first_block * block_, &len_, INT64_MAX, &flags_, &options_);
    }

    [[nodiscard]] std::uint64_t blocks(std::int64_t count) const { return static_cast<std::uint64_t>(count * block_); }

    TempDir dir_;
    UniqueFd fd_;
    std::int64_t block_ = 0;
    std::uint64_t len_ = 0;
    unsigned long flags_ = 0;
    struct sluice_ondemand options_ = SLUICE_ONDEMAND_INIT;
};

TEST_F(SparseFile, IsHoleBeforeAndDataAfterAWrite)
{
    EXPECT_EQ(probe(2, 2), SLUICE_DOWNLOAD_FROM_SERVER);
    EXPECT_EQ(options_.why, SLUICE_WHY_SEEK_NXIO);
    EXPECT_EQ(flags_, SLUICE_SREQ_COPY_TO_CACHE);
    fill(2, 2);
    EXPECT_EQ(probe(2, 2), SLUICE_READ_FROM_CACHE);
    EXPECT_EQ(options_.why, SLUICE_WHY_HAVE_DATA);
    EXPECT_EQ(flags_, 0U);
    EXPECT_EQ(len_, blocks(2));
}

TEST_F(SparseFile, IsTrimmedToTheFirstRun)
{
    fill(4, 4);
    EXPECT_EQ(probe(0, 16), SLUICE_DOWNLOAD_FROM_SERVER);
    EXPECT_EQ(options_.why, SLUICE_WHY_FOUND_PART);
    EXPECT_EQ(len_, blocks(4));
    EXPECT_EQ(probe(4, 12), SLUICE_READ_FROM_CACHE);
    EXPECT_EQ(len_, blocks(4));
    EXPECT_EQ(probe(0, 4), SLUICE_DOWNLOAD_FROM_SERVER);
    EXPECT_EQ(options_.why, SLUICE_WHY_FOUND_HOLE);
}

TEST_F(SparseFile, IsFilledByTheRequest)
{
    struct Daemon {
        int fd;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> asked;
    } daemon{fd_.get(), {}};

    options_.ctx = &daemon;
    options_.request = [](void* ctx, std::uint64_t start, std::uint64_t len) {
        auto& self = *static_cast<Daemon*>(ctx);
        self.asked.emplace_back(start, len);
        const std::string bytes(len, 'y');
        return ::pwrite(self.fd, bytes.data(), len, static_cast<off_t>(start)) == std::ssize(bytes) ? 0 : -errno;
    };
    fill(3, 1);
    EXPECT_EQ(probe(0, 8, SLUICE_SREQ_ONDEMAND), SLUICE_READ_FROM_CACHE);
    EXPECT_EQ(len_, blocks(3));
    EXPECT_EQ(flags_, SLUICE_SREQ_COPY_TO_CACHE);
    EXPECT_THAT(daemon.asked, ElementsAre(Pair(0U, blocks(3))));
    EXPECT_EQ(probe(0, 4, SLUICE_SREQ_ONDEMAND), SLUICE_READ_FROM_CACHE);
    EXPECT_EQ(len_, blocks(4));
    EXPECT_EQ(flags_, SLUICE_SREQ_ONDEMAND);
}

TEST_F(SparseFile, ARefusedRequestIsAnInvalidRead)
{
    options_.request = [](void*, std::uint64_t, std::uint64_t) { return -EIO; };
    EXPECT_EQ(probe(0, 1, SLUICE_SREQ_ONDEMAND), SLUICE_INVALID_READ);
    EXPECT_EQ(flags_, SLUICE_SREQ_ONDEMAND | SLUICE_SREQ_COPY_TO_CACHE);
}

TEST_F(SparseFile, TakesTheCallersBlockSizeBeforeTheFileSystems)
{
    fill(0, 1);
    options_.block_size = static_cast<std::uint32_t>(4 * block_);
    EXPECT_EQ(probe(0, 8), SLUICE_INVALID_READ);
    EXPECT_EQ(options_.why, SLUICE_WHY_PART_OF_BLOCK);
    EXPECT_EQ(len_, 0U);
    options_.block_size = 1000;
    EXPECT_EQ(probe(0, 8), SLUICE_INVALID_READ);
    EXPECT_EQ(options_.why, SLUICE_WHY_BAD_ARGUMENT);
}

TEST_F(SparseFile, LeavesErrnoAlone)
{
    errno = ENOTRECOVERABLE;
    EXPECT_EQ(probe(0, 4), SLUICE_DOWNLOAD_FROM_SERVER);
    EXPECT_EQ(errno, ENOTRECOVERABLE);
}

TEST_F(SparseFile, DescriptorsThatCannotSeekAreSeekErrors)
{
    int ends[2] = {-1, -1};
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd reader{kAdoptFd, ends[0]};
    const UniqueFd writer{kAdoptFd, ends[1]};
    len_ = 4096;
    flags_ = 0;
    EXPECT_EQ(
        sluice_prepare_ondemand_read(reader.get(), 0, &len_, INT64_MAX, &flags_, &options_), SLUICE_DOWNLOAD_FROM_SERVER
    );
    EXPECT_EQ(options_.why, SLUICE_WHY_SEEK_ERROR);
    EXPECT_EQ(len_, 4096U);
    EXPECT_EQ(sluice_prepare_ondemand_read(-1, 0, &len_, INT64_MAX, &flags_, &options_), SLUICE_DOWNLOAD_FROM_SERVER);
    EXPECT_EQ(options_.why, SLUICE_WHY_NO_FILE);
}

TEST_F(SparseFile, BadPointersAndOldStructsAreRefused)
{
    flags_ = 0;
    EXPECT_EQ(sluice_prepare_ondemand_read(fd_.get(), 0, nullptr, 1, &flags_, &options_), SLUICE_INVALID_READ);
    EXPECT_EQ(options_.why, SLUICE_WHY_BAD_ARGUMENT);
    len_ = 1;
    EXPECT_EQ(sluice_prepare_ondemand_read(fd_.get(), 0, &len_, 1, nullptr, nullptr), SLUICE_INVALID_READ);
    options_.struct_size = 8;
    options_.why = SLUICE_WHY_HAVE_DATA;
    EXPECT_EQ(sluice_prepare_ondemand_read(fd_.get(), 0, &len_, 1, &flags_, &options_), SLUICE_INVALID_READ);
    EXPECT_EQ(options_.why, SLUICE_WHY_HAVE_DATA);
}

TEST_F(SparseFile, WorksWithoutOptions)
{
    fill(0, 1);
    len_ = blocks(1);
    flags_ = 0;
    EXPECT_EQ(sluice_prepare_ondemand_read(fd_.get(), 0, &len_, INT64_MAX, &flags_, nullptr), SLUICE_READ_FROM_CACHE);
}

TEST_F(SparseFile, TellsItsFirstRunOfData)
{
    std::int64_t start = 0;
    std::uint64_t len = 7;
    EXPECT_EQ(sluice_query_occupancy(fd_.get(), 0, blocks(16), 0, &start, &len), -ENODATA);
    EXPECT_EQ(start, -1);
    EXPECT_EQ(len, 0U);
    fill(5, 2);
    EXPECT_EQ(sluice_query_occupancy(fd_.get(), 0, blocks(16), 0, &start, &len), 0);
    EXPECT_EQ(start, 5 * block_);
    EXPECT_EQ(len, blocks(2));
    EXPECT_EQ(sluice_query_occupancy(-1, 0, 1, 0, &start, &len), -ENOBUFS);
    EXPECT_EQ(sluice_query_occupancy(fd_.get(), 0, 1, 0, nullptr, &len), -EINVAL);
}

TEST(SluiceNames, AreThereForAllNumbers)
{
    EXPECT_STREQ(sluice_source_name(SLUICE_READ_FROM_CACHE), "read-from-cache");
    EXPECT_STREQ(sluice_why_name(SLUICE_WHY_AFTER_EOF), "after-eof");
    EXPECT_STREQ(sluice_why_name(SLUICE_WHY_PART_OF_BLOCK), "part-of-block");
    EXPECT_STREQ(sluice_why_name(static_cast<sluice_why>(10)), "unknown");
    EXPECT_STREQ(sluice_source_name(static_cast<sluice_source>(7)), "unknown");
}

} // namespace
} // namespace sluice::test
