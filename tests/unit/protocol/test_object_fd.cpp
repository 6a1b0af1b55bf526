// SPDX-License-Identifier: Apache-2.0
#include "protocol/object_fd.hpp"
#include "protocol/space.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <cerrno>
#include <fcntl.h>
#include <functional>
#include <latch>
#include <thread>
#include <unistd.h>

namespace sluice::protocol {
namespace {

/// System calls on an ordinary file, with a say before each write.
class FileIo final : public KernelIo {
public:
    int open_device() override { return -ENOSYS; }

    ssize_t read(int, std::span<std::byte>) override { return -ENOSYS; }

    int write(int, std::string_view) override { return -ENOSYS; }

    Result<UniqueFd> adopt_object(int) override { return fail_errno(ENOSYS, "not here"); }

    int read_complete(int object, MessageId) override { return ::fcntl(object, F_GETFD) < 0 ? -EBADF : 0; }

    off_t end(int) override { return -ENOBUFS; }

    ssize_t pwrite(int object, std::span<const std::byte> data, std::uint64_t offset) override
    {
        if (before_write) {
            if (const auto result = before_write(data.size()); result != 0) {
                return result;
            }
        }
        const auto written = ::pwrite(object, data.data(), data.size(), static_cast<off_t>(offset));
        return written < 0 ? -errno : written;
    }

    off_t first_hole(int object, std::uint64_t offset) override
    {
        const auto found = ::lseek(object, static_cast<off_t>(offset), SEEK_HOLE);
        return found < 0 ? -errno : found;
    }

    FileRun probe(int object, std::uint64_t offset, std::uint64_t length) override
    {
        return probe_error != 0 ? FileRun{probe_error, false, 0} : probe_fd(object, offset, length);
    }

    int space(const std::string&, struct statvfs& out) override
    {
        out = {};
        out.f_blocks = 1000;
        out.f_bavail = available;
        return 0;
    }

    std::function<ssize_t(std::size_t)> before_write;
    int probe_error = 0;
    fsblkcnt_t available = 500;
};

class ObjectFdTest : public test::FdLeakTest {
protected:
    std::unique_ptr<ObjectFd> make()
    {
        const auto path = dir_.path() / "object";
        UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
        number_ = fd.get();
        auto space = std::make_shared<const CacheSpace>(CacheSpace{dir_.path().string(), CacheLimits{}});
        return std::make_unique<ObjectFd>(io_, std::move(fd), std::move(space));
    }

    [[nodiscard]] bool number_is_open() const { return ::fcntl(number_, F_GETFD) >= 0; }

    test::TempDir dir_;
    FileIo io_;
    int number_ = -1;
};

TEST_F(ObjectFdTest, WritesAndSeesWhatIsMissing)
{
    const auto object = make();
    auto data = filled(2 * kBlockSize, 1);
    ASSERT_TRUE(object->write(kBlockSize, data.bytes()).has_value());
    EXPECT_EQ(
        object->missing({0, 4 * kBlockSize}).value(),
        (std::vector<ByteRange>{{0, kBlockSize}, {3 * kBlockSize, 4 * kBlockSize}})
    );
    EXPECT_EQ(object->complete(MessageId{1}), 0);
}

TEST_F(ObjectFdTest, RefusesToWriteWhatIsNotAligned)
{
    const auto object = make();
    auto data = filled(2 * kBlockSize, 1);
    EXPECT_EQ(object->write(1, data.bytes()).error().kind(), ErrorKind::kInvalid);
    EXPECT_EQ(object->write(0, data.bytes().first(100)).error().kind(), ErrorKind::kInvalid);
    EXPECT_EQ(object->write(0, data.bytes().subspan(16, kBlockSize)).error().kind(), ErrorKind::kInvalid);
}

TEST_F(ObjectFdTest, AClosedOneIsClosedAtOnceAndRefusesEverything)
{
    const auto object = make();
    auto data = filled(kBlockSize, 1);
    object->close();
    EXPECT_FALSE(number_is_open());
    EXPECT_TRUE(object->closed());
    EXPECT_EQ(object->write(0, data.bytes()).error().kind(), ErrorKind::kCancelled);
    EXPECT_EQ(object->missing({0, 1}).error().kind(), ErrorKind::kCancelled);
    EXPECT_EQ(object->complete(MessageId{1}), -ESTALE);
    object->close();
}

TEST_F(ObjectFdTest, CloseDoesNotWaitForAWriterAndTheWriterClosesBehindItself)
{
    const auto object = make();
    std::latch inside{1};
    std::latch go_on{1};
    io_.before_write = [&](std::size_t) -> ssize_t {
        inside.count_down();
        go_on.wait();
        return 0;
    };
    Result<void> outcome;
    {
        const std::jthread worker{[&] {
            auto data = filled(kBlockSize, 1);
            outcome = object->write(0, data.bytes());
        }};
        inside.wait();
        object->close();
        EXPECT_TRUE(number_is_open()) << "the number must stay ours while a write uses it";
        go_on.count_down();
    }
    EXPECT_FALSE(number_is_open());
    EXPECT_TRUE(outcome.has_value()) << "what was already in the kernel is done";
}

TEST_F(ObjectFdTest, AWriteInPiecesStopsWhenTheObjectIsClosed)
{
    const auto object = make();
    io_.before_write = [&](std::size_t size) -> ssize_t {
        object->close();
        return static_cast<ssize_t>(size / 2);
    };
    auto data = filled(4 * kBlockSize, 1);
    const auto written = object->write(0, data.bytes());
    ASSERT_FALSE(written.has_value());
    EXPECT_EQ(written.error().kind(), ErrorKind::kCancelled);
    EXPECT_FALSE(number_is_open());
}

TEST_F(ObjectFdTest, NoBuffersMeansNoSpaceOrNoObject)
{
    const auto object = make();
    auto data = filled(kBlockSize, 1);
    io_.before_write = [](std::size_t) -> ssize_t { return -ENOBUFS; };
    io_.available = 9; // of 1000, below the 1% of bstop
    EXPECT_EQ(object->write(0, data.bytes()).error().kind(), ErrorKind::kNoSpace);
    io_.available = 500;
    EXPECT_EQ(object->write(0, data.bytes()).error().kind(), ErrorKind::kCancelled);
    io_.before_write = [](std::size_t) -> ssize_t { return -ENOSPC; };
    EXPECT_EQ(object->write(0, data.bytes()).error().code(), ENOSPC);
}

TEST_F(ObjectFdTest, AWriteThatLeftAHoleIsNotASuccess)
{
    const auto object = make();
    auto data = filled(2 * kBlockSize, 1);
    io_.before_write = [](std::size_t size) { return static_cast<ssize_t>(size); }; // claims, and does not
    const auto written = object->write(0, data.bytes());
    ASSERT_FALSE(written.has_value());
    EXPECT_EQ(written.error().code(), EIO);
}

TEST_F(ObjectFdTest, ProbingAnObjectThatTheKernelLetGoIsNotANoSpace)
{
    const auto object = make();
    io_.probe_error = ENOBUFS;
    EXPECT_EQ(object->missing({0, 1}).error().kind(), ErrorKind::kCancelled);
    io_.probe_error = EIO;
    EXPECT_EQ(object->missing({0, 1}).error().code(), EIO);
}

TEST(BelowStop, CountsBlocksAndInodesAndForgivesUncountedInodes)
{
    struct statvfs fs {};

    fs.f_blocks = 1000;
    fs.f_bavail = 30;
    const CacheLimits limits{{10, 7, 3}, {10, 7, 3}};
    EXPECT_FALSE(below_stop(fs, limits)) << "no inodes are counted on btrfs";
    fs.f_bavail = 29;
    EXPECT_TRUE(below_stop(fs, limits));
    fs.f_bavail = 500;
    fs.f_files = 1000;
    fs.f_ffree = 29;
    EXPECT_TRUE(below_stop(fs, limits));
    fs.f_ffree = 30;
    EXPECT_FALSE(below_stop(fs, limits));
}

} // namespace
} // namespace sluice::protocol
