// SPDX-License-Identifier: Apache-2.0
//
// Over a real mount: skipped where this process may not make one. Whoever uses the file system is another thread, as
// the loop's must not.
#include "protocol/fuse_front_end.hpp"
#include "protocol/fuse_mount.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <array>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <future>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::protocol {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSize = 64 * kBlockSize;
const std::string kBlob(64, 'b');

class FuseFrontEndTest : public test::FdLeakTest {
protected:
    /// A crash leaves no mount behind then. Where it is not allowed, mounting is not either, and the tests are skipped.
    static void SetUpTestSuite()
    {
        has_own_mounts_ =
            ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    }

    void SetUp() override
    {
        FdLeakTest::SetUp();
        if (!has_own_mounts_) {
            GTEST_SKIP() << "this process may not have mounts of its own";
        }
        loop_.emplace();
        workers_.emplace(2);
        handler_.accept_size = kSize;
        handler_.open_file = [this](const std::string& cookie) {
            return FileHandle::open(dir_.path() / cookie, kSize).value();
        };
        FuseConfig config;
        config.mount_base = base();
        config.volume = "erofs,dom0";
        config.contents.size_of = [](std::string_view name) {
            return name == kBlob ? std::optional{kSize} : std::nullopt;
        };
        config.contents.cookies = [] { return std::vector<std::string>{kBlob}; };
        device_.emplace(*loop_, *workers_, std::move(config), nothing_kept_);
        if (const auto started = device_->start(handler_); !started) {
            const auto why = started.error().text();
            TearDown();
            GTEST_SKIP() << why;
        }
    }

    void TearDown() override
    {
        handler_.opens.clear();
        handler_.reads.clear();
        handler_.handles.clear();
        if (device_) {
            device_->stop();
        }
        device_.reset();
        workers_.reset();
        loop_.reset();
        FdLeakTest::TearDown();
    }

    [[nodiscard]] fs::path base() const { return dir_.path() / "mounts"; }

    [[nodiscard]] std::string path(const std::string& name = kBlob) const
    {
        return (device_->directory() / name).string();
    }

    /// What `use` returns, which runs on another thread, while the loop serves it.
    template <typename F>
    auto elsewhere(F use)
    {
        auto done = std::async(std::launch::async, std::move(use));
        EXPECT_TRUE(test::run_until(*loop_, [&] { return done.wait_for(milliseconds{0}) == std::future_status::ready; })
        );
        return done.get();
    }

    int open_blob()
    {
        return elsewhere([this] { return ::open(path().c_str(), O_RDONLY | O_CLOEXEC); });
    }

    void close_blob(int fd)
    {
        ::close(fd);
        EXPECT_TRUE(test::run_until(*loop_, [&] { return device_->stats().open_objects == 0; }));
    }

    struct Outcome {
        ssize_t got;
        int code;
        char first;
    };

    Outcome read(int fd, std::uint64_t offset, std::size_t size)
    {
        return elsewhere([fd, offset, size] {
            std::string bytes(size, '?');
            const auto got = ::pread(fd, bytes.data(), size, static_cast<off_t>(offset));
            return Outcome{got, errno, bytes[0]};
        });
    }

    /// From now on reads are served with blocks of `value`.
    void serve(int value)
    {
        handler_.serve_read = [this, value](ReadRequest request) {
            const auto range = request.range.align_out(kBlockSize);
            auto data = filled(range.size(), value);
            ASSERT_TRUE(handler_.handles.at(request.object)->write(range.begin(), data.bytes()));
            request.pending.complete({});
        };
    }

    static inline bool has_own_mounts_ = false;

    test::TempDir dir_;
    FdStore nothing_kept_;
    std::optional<EventLoop> loop_;
    std::optional<WorkerPool> workers_;
    RecordingHandler handler_;
    std::optional<FuseFrontEnd> device_;
};

TEST_F(FuseFrontEndTest, ABlobIsAFileOfItsSizeThatRootMayRead)
{
    struct stat info {};

    ASSERT_EQ(elsewhere([&] { return ::stat(path().c_str(), &info); }), 0);
    EXPECT_EQ(info.st_size, static_cast<off_t>(kSize));
    EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFREG | 0400));
    EXPECT_EQ(elsewhere([&] { return ::stat(path("other").c_str(), &info) == 0 ? 0 : errno; }), ENOENT);
    EXPECT_TRUE(handler_.events.empty());
}

TEST_F(FuseFrontEndTest, BlobsAreListed)
{
    const auto names = elsewhere([this] {
        std::vector<std::string> found;
        for (const auto& entry : fs::directory_iterator{device_->directory()}) {
            found.push_back(entry.path().filename().string());
        }
        return found;
    });
    EXPECT_EQ(names, std::vector{kBlob});
}

TEST_F(FuseFrontEndTest, NothingCanBeWritten)
{
    EXPECT_EQ(elsewhere([this] { return ::open(path().c_str(), O_RDWR | O_CLOEXEC) < 0 ? errno : 0; }), EROFS);
    EXPECT_EQ(elsewhere([this] { return ::unlink(path().c_str()) != 0 ? errno : 0; }), EROFS);
    EXPECT_EQ(elsewhere([this] { return ::mkdir(path("new").c_str(), 0700) != 0 ? errno : 0; }), EROFS);
}

TEST_F(FuseFrontEndTest, AReadIsAskedForAndGetsWhatWasWritten)
{
    serve('x');
    const auto fd = open_blob();
    ASSERT_GE(fd, 0);
    const auto outcome = read(fd, 5 * kBlockSize, 3 * kBlockSize);
    EXPECT_EQ(outcome.got, 3 * static_cast<ssize_t>(kBlockSize));
    EXPECT_EQ(outcome.first, 'x');
    EXPECT_EQ(read(fd, 5 * kBlockSize + 100, 50).first, 'x');
    EXPECT_EQ(read(fd, kSize - 10, 100).got, 10);
    EXPECT_EQ(read(fd, kSize, 100).got, 0);
    close_blob(fd);
    EXPECT_EQ(handler_.count("open " + kBlob), 1U);
    EXPECT_EQ(handler_.count("close"), 1U);
}

TEST_F(FuseFrontEndTest, WhatIsStillMissingAtTheAnswerIsAnErrorAndIsAskedForAgain)
{
    handler_.serve_read = [](ReadRequest request) { request.pending.complete({}); }; // and it is not there
    const auto fd = open_blob();
    ASSERT_GE(fd, 0);
    const auto failed = read(fd, 0, kBlockSize);
    EXPECT_EQ(failed.got, -1);
    EXPECT_EQ(failed.code, EIO);
    serve('y');
    EXPECT_EQ(read(fd, 0, kBlockSize).first, 'y');
    close_blob(fd);
}

TEST_F(FuseFrontEndTest, AHoleWhereTheCoreBelievedDataIsToldToTheCoreOnce)
{
    handler_.serve_read = [this](ReadRequest request) {
        if (request.found_hole) {
            auto data = filled(kBlockSize, 'h');
            ASSERT_TRUE(handler_.handles.at(request.object)->write(request.range.begin(), data.bytes()));
        }
        request.pending.complete({});
    };
    const auto fd = open_blob();
    ASSERT_GE(fd, 0);
    const auto outcome = read(fd, 8 * kBlockSize, kBlockSize);
    EXPECT_EQ(outcome.got, static_cast<ssize_t>(kBlockSize));
    EXPECT_EQ(outcome.first, 'h');
    const ByteRange range{8 * kBlockSize, 9 * kBlockSize};
    EXPECT_EQ(handler_.count("read " + range.to_string()), 2U);
    EXPECT_EQ(read(fd, 8 * kBlockSize, kBlockSize).first, 'h');
    EXPECT_EQ(handler_.count("read " + range.to_string()), 3U); // what is there is not asked for twice
    close_blob(fd);
}

TEST_F(FuseFrontEndTest, BlocksThatWereNeverWrittenAreAHoleAndNoZeros)
{
    handler_.serve_read = [this](ReadRequest request) {
        if (request.found_hole) {
            auto data = filled(kBlockSize, 'w');
            ASSERT_TRUE(handler_.handles.at(request.object)->write(request.range.begin(), data.bytes()));
        }
        request.pending.complete({});
    };
    const auto fd = open_blob();
    ASSERT_GE(fd, 0);
    {
        const auto place = dir_.path() / kBlob;
        const UniqueFd file{kAdoptFd, ::open(place.c_str(), O_RDWR | O_CLOEXEC)};
        ASSERT_EQ(::fallocate(file.get(), 0, 0, kSize), 0);
        std::string bytes(kSize, '?');
        ASSERT_EQ(::pread(file.get(), bytes.data(), bytes.size(), 0), std::ssize(bytes)); // zeros are in memory now
    }
    EXPECT_EQ(read(fd, 8 * kBlockSize, kBlockSize).first, 'w');
    close_blob(fd);
}

TEST_F(FuseFrontEndTest, WhatTheCoreHasLookedForInVainIsAnErrorAtOnce)
{
    const auto fd = open_blob();
    ASSERT_GE(fd, 0);
    auto reader = std::async(std::launch::async, [fd] {
        char byte = 0;
        return ::pread(fd, &byte, 1, 0) < 0 ? errno : 0;
    });
    ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.reads.size() == 1; }));
    EXPECT_FALSE(handler_.reads.front().found_hole);
    handler_.reads.clear();
    EXPECT_TRUE(test::run_until(*loop_, [&] { return reader.wait_for(milliseconds{0}) == std::future_status::ready; }));
    EXPECT_EQ(reader.get(), EIO);
    EXPECT_TRUE(handler_.reads.empty());
    close_blob(fd);
}

TEST_F(FuseFrontEndTest, AReadThatTheCoreDropsIsAnError)
{
    handler_.serve_read = [](ReadRequest request) { const auto dropped = std::move(request); };
    const auto fd = open_blob();
    ASSERT_GE(fd, 0);
    EXPECT_EQ(read(fd, 0, kBlockSize).code, EIO);
    close_blob(fd);
}

TEST_F(FuseFrontEndTest, SeveralReadsWaitAtOnceAndAreAnsweredInAnyOrder)
{
    const auto fd = open_blob();
    ASSERT_GE(fd, 0);
    std::vector<std::future<ssize_t>> readers;
    for (std::uint64_t i = 0; i < 4; ++i) {
        readers.push_back(std::async(std::launch::async, [fd, i] {
            std::array<char, kBlockSize> bytes{};
            return ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(i * 8 * kBlockSize));
        }));
    }
    ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.reads.size() == 4; }));
    while (!handler_.reads.empty()) {
        auto request = std::move(handler_.reads.back());
        handler_.reads.pop_back();
        auto data = filled(kBlockSize, 'z');
        ASSERT_TRUE(handler_.handles.at(request.object)->write(request.range.begin(), data.bytes()));
        request.pending.complete({});
    }
    for (auto& reader : readers) {
        EXPECT_EQ(reader.get(), static_cast<ssize_t>(kBlockSize));
    }
    close_blob(fd);
}

TEST_F(FuseFrontEndTest, EachOpenFileIsAnObjectOfItsOwn)
{
    const auto one = open_blob();
    const auto two = open_blob();
    EXPECT_EQ(handler_.count("open " + kBlob), 2U);
    ::close(one);
    EXPECT_TRUE(test::run_until(*loop_, [&] { return handler_.count("close") == 1; }));
    serve('x');
    EXPECT_EQ(read(two, 0, kBlockSize).first, 'x');
    close_blob(two);
    EXPECT_EQ(handler_.count("close"), 2U);
}

TEST_F(FuseFrontEndTest, TheReaderIsToldWhyAReadFailed)
{
    handler_.serve_read = [](ReadRequest request) {
        request.pending.complete(fail(ErrorKind::kNoSpace, "the cache is full"));
    };
    const auto fd = open_blob();
    ASSERT_GE(fd, 0);
    const auto failed = read(fd, 0, kBlockSize);
    EXPECT_EQ(failed.got, -1);
    EXPECT_EQ(failed.code, ENOSPC);
    close_blob(fd);
}

TEST_F(FuseFrontEndTest, ARefusedOpeningIsTheOpenersErrorAndCanBeTriedAgain)
{
    handler_.accept_size.reset();
    auto opener = std::async(std::launch::async, [this] {
        const int fd = ::open(path().c_str(), O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    });
    ASSERT_TRUE(test::run_until(*loop_, [&] { return !handler_.opens.empty(); }));
    handler_.opens.front().pending.reject(Error::from_errno(ENOENT, "gone"));
    EXPECT_EQ(opener.get(), -ENOENT);
    handler_.opens.clear();
    handler_.accept_size = kSize;
    const auto fd = open_blob();
    EXPECT_GE(fd, 0);
    close_blob(fd);
}

TEST_F(FuseFrontEndTest, ReadsThatWaitWhenTheDeviceEndsGetAnError)
{
    const auto fd = open_blob();
    ASSERT_GE(fd, 0);
    auto reader = std::async(std::launch::async, [fd] {
        char byte = 0;
        return ::pread(fd, &byte, 1, 0);
    });
    ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.reads.size() == 1; }));
    device_->stop();
    device_.reset();
    EXPECT_EQ(reader.get(), -1);
    ::close(fd);
    EXPECT_TRUE(fs::is_empty(base()) || fs::directory_iterator { base() } -> path().filename() == ".lock");
}

TEST_F(FuseFrontEndTest, TheBaseDirectoryBelongsToOneDaemon)
{
    const auto second = FuseMount::mount(base());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), EBUSY);
}

TEST_F(FuseFrontEndTest, AnUnmountedFileSystemIsReported)
{
    ASSERT_EQ(::umount2(device_->directory().c_str(), MNT_DETACH), 0);
    EXPECT_TRUE(test::run_until(*loop_, [&] { return !handler_.lost.empty(); }));
}

TEST(FuseMountTest, WhatADeadDaemonLeftIsCleanedAway)
{
    const test::TempDir dir;
    const auto left = dir.path() / "0a1b2c3d";
    fs::create_directories(left);
    fs::create_directories(dir.path() / "not-ours");
    if (::mount("stale", left.c_str(), "tmpfs", 0, nullptr) != 0) {
        GTEST_SKIP() << "mounting needs root";
    }
    detach_stale_mounts(dir.path());
    EXPECT_FALSE(fs::exists(left));
    EXPECT_TRUE(fs::exists(dir.path() / "not-ours"));
}

} // namespace
} // namespace sluice::protocol
