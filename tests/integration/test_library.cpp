// SPDX-License-Identifier: Apache-2.0
// libsluice against a daemon in this process.
#include "tests/integration/library_world.hpp"
#include "tests/unit/protocol/raw_client.hpp"

#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sluice::daemon {
namespace {

class LibraryTest : public test::FdLeakTest {};

TEST_F(LibraryTest, ABlobIsOpenedAndReadWhole)
{
    OpenedLibrary world;
    EXPECT_EQ(sluice_blob_size(world.blob.get()), world.size);
    EXPECT_EQ(sluice_blob_digest(world.blob.get()), world.digest.to_string());
    // From the middle of a block, beyond the end.
    const auto tail = world.read(world.blob, 1'000'001, world.size);
    EXPECT_EQ(tail.second, world.content.substr(1'000'001));
    EXPECT_EQ(world.read(world.blob, world.size, 10).first, 0);
    EXPECT_EQ(world.read(world.blob, 0, world.size).second, world.content);
    EXPECT_EQ(world.daemon->counters().bytes_fetched, world.size); // nothing twice
}

TEST_F(LibraryTest, WhoHasACompressedBlobOpenDoesNotKeepItFromBeingMounted)
{
    Library world;
    const auto compressed = world.publish("good.key", "lz4hc").layers[0];
    world.start();
    const Json lazily{{"reference", world.reference()}, {"lazy_only", true}};
    ASSERT_EQ(world.ask("POST", "/v1/images", lazily.dump()).first, 501); // registered, and not completed
    const auto [status, client] = world.connect();
    ASSERT_EQ(status, 0);
    const auto [opened, blob] = world.open_blob(client, compressed.digest.to_string());
    ASSERT_EQ(opened, 0);
    const auto path = world.file_of(compressed.digest);
    ASSERT_TRUE(std::filesystem::exists(path));

    const auto [mounted, image] = world.add_image();
    EXPECT_EQ(mounted, 200) << image.dump();
    const auto content = slurp(world.published(compressed.digest)).substr(0, compressed.erofs_size);
    EXPECT_TRUE(slurp(path) == content);
    EXPECT_TRUE(world.read(blob, 0, content.size()).second == content); // in the file that is open
    EXPECT_EQ(world.daemon->counters().bytes_fetched, compressed.erofs_size);
}

TEST_F(LibraryTest, WhatIsNotRegisteredIsNotOpened)
{
    Library world;
    world.start();
    const auto [status, client] = world.connect();
    ASSERT_EQ(status, 0);
    EXPECT_EQ(world.open_blob(client, world.digest.to_string()).first, -ENOENT);
    EXPECT_EQ(world.open_blob(client, "sha256:abc").first, -EINVAL);
}

TEST_F(LibraryTest, ALayerIsOpenedByTheNameOfItsImage)
{
    Library world;
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    const auto [status, client] = world.connect();
    ASSERT_EQ(status, 0);
    const auto open = [&, raw = client.get()](std::string name, unsigned layer, unsigned device) {
        return world.away([&] {
            sluice_blob* blob = nullptr;
            const int outcome = sluice_image_open(raw, name.c_str(), layer, device, &blob);
            return std::pair{outcome, BlobPtr{blob}};
        });
    };
    const auto [opened, blob] = open(world.reference(), 0, 0);
    ASSERT_EQ(opened, 0);
    EXPECT_EQ(sluice_blob_digest(blob.get()), world.digest.to_string());
    EXPECT_EQ(open(world.reference(), 1, 0).first, -ENOENT);
    EXPECT_EQ(open(world.reference(), 0, 1).first, -ENOENT);
    EXPECT_EQ(open("UPPER CASE", 0, 0).first, -EINVAL);
}

TEST_F(LibraryTest, TamperedBytesAreAnErrorAndTheRestIsRead)
{
    OpenedLibrary world;
    {
        std::fstream blob{world.published(world.digest), std::ios::in | std::ios::out | std::ios::binary};
        blob.seekp(1'000'000);
        blob.put('!');
    }
    EXPECT_EQ(world.read(world.blob, 1'000'000, 100).first, -EBADMSG);
    EXPECT_EQ(world.read(world.blob, 4096, 8192).second, world.content.substr(4096, 8192));
    // What comes before the fault is delivered, and no zeros behind it.
    const auto [got, bytes] = world.read(world.blob, 0, world.size);
    if (got > 0) {
        EXPECT_LE(got, 1'000'000);
        EXPECT_EQ(bytes, world.content.substr(0, bytes.size()));
    } else {
        EXPECT_EQ(got, -EBADMSG);
    }
}

TEST_F(LibraryTest, TheDescriptorIsReadOnlyAndPreparedRangesCanBeMapped)
{
    OpenedLibrary world;
    const int fd = sluice_blob_fd(world.blob.get());
    EXPECT_EQ(::fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    EXPECT_EQ(::pwrite(fd, "x", 1, 0), -1);
    const auto prepare = [&, raw = world.blob.get()](unsigned long flags, std::int64_t at, std::uint64_t& length) {
        return world.away([&] { return sluice_blob_prepare(raw, at, &length, &flags, nullptr); });
    };
    std::uint64_t length = 8192;
    EXPECT_EQ(prepare(0, 8192, length), SLUICE_DOWNLOAD_FROM_SERVER);
    length = 8192;
    ASSERT_EQ(prepare(SLUICE_SREQ_ONDEMAND, 8192, length), SLUICE_READ_FROM_CACHE);
    ASSERT_EQ(length, 8192U);
    void* mapped = ::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, fd, 8192);
    ASSERT_NE(mapped, MAP_FAILED);
    EXPECT_EQ(std::string(static_cast<const char*>(mapped), 8192), world.content.substr(8192, 8192));
    ::munmap(mapped, 8192);
    EXPECT_EQ(prepare(0, static_cast<std::int64_t>(world.size), length), SLUICE_FILL_WITH_ZEROES);
}

TEST_F(LibraryTest, AsynchronousReadsCompleteThroughTheEventDescriptor)
{
    OpenedLibrary world;
    constexpr std::size_t kReads = 300; // more than the daemon takes at a time
    const auto step = world.size / kReads;
    std::vector<std::string> buffers(kReads, std::string(10'000, '?'));
    for (std::size_t i = 0; i < kReads; ++i) {
        auto& buffer = buffers[i];
        const auto offset = static_cast<std::int64_t>(i * step);
        ASSERT_EQ(sluice_submit_pread(world.blob.get(), buffer.data(), buffer.size(), offset, &buffer, nullptr), 0);
    }
    std::size_t completed = 0;
    EXPECT_TRUE(test::run_until(world.loop, [&, raw = world.client.get()] {
        pollfd watched{sluice_event_fd(raw), POLLIN, 0};
        if (::poll(&watched, 1, 0) == 1) {
            sluice_completion done[16];
            const int count = sluice_reap(raw, done, 16);
            EXPECT_GT(count, 0);
            for (int i = 0; i < count; ++i) {
                auto& buffer = *static_cast<std::string*>(done[i].user);
                const auto index = static_cast<std::size_t>(&buffer - buffers.data());
                EXPECT_EQ(
                    buffer.substr(0, static_cast<std::size_t>(done[i].result)),
                    world.content.substr(index * step, 10'000)
                );
            }
            completed += static_cast<std::size_t>(count);
        }
        return completed == kReads;
    }));
    pollfd watched{sluice_event_fd(world.client.get()), POLLIN, 0};
    EXPECT_EQ(::poll(&watched, 1, 0), 0);
}

TEST_F(LibraryTest, ReadsOutlastARestartOfTheDaemon)
{
    OpenedLibrary world;
    EXPECT_EQ(world.read(world.blob, 0, 4096).second, world.content.substr(0, 4096));
    world.stop();
    EXPECT_EQ(world.read(world.blob, 0, 4096).second, world.content.substr(0, 4096)); // what is cached needs no daemon

    std::string bytes(world.size, '?');
    auto reading = std::async(std::launch::async, [&, raw = world.blob.get()] {
        return sluice_pread(raw, bytes.data(), bytes.size(), 0);
    });
    world.start();
    EXPECT_TRUE(test::run_until(world.loop, [&] {
        return reading.wait_for(milliseconds{0}) == std::future_status::ready;
    }));
    EXPECT_EQ(reading.get(), static_cast<ssize_t>(world.size));
    EXPECT_EQ(bytes, world.content);
}

TEST_F(LibraryTest, ACacheThatWasThrownAwayIsFilledAnew)
{
    OpenedLibrary world;
    EXPECT_EQ(world.read(world.blob, 0, 4096).first, 4096);
    const int old_fd = sluice_blob_fd(world.blob.get());
    const auto path = world.file_of(world.digest);
    world.stop();
    std::filesystem::remove(path);
    world.start();
    EXPECT_EQ(world.read(world.blob, 0, world.size).second, world.content);
    EXPECT_NE(sluice_blob_fd(world.blob.get()), old_fd);
    char byte = 0;
    EXPECT_EQ(::pread(old_fd, &byte, 1, 0), 1); // lent out, so it stays open
}

// The answer cannot be sent, so the connection ends while the core is still at the READ.
TEST_F(LibraryTest, AClientThatIsGoneWhenItsReadIsAnsweredHurtsNobody)
{
    Library world;
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    const auto [status, client] = world.connect();
    ASSERT_EQ(status, 0);
    {
        const auto [opened, blob] = world.open_blob(client, world.digest.to_string());
        ASSERT_EQ(opened, 0);
        ASSERT_EQ(world.read(blob, 0, 8192).first, 8192);
    }
    for (const std::uint64_t at : {std::uint64_t{0}, world.size - kBlockSize}) { // there already, and still to come
        protocol::RawClient deaf{world.socket()};
        const auto answer = [&] {
            std::optional<protocol::Answered> answered;
            EXPECT_TRUE(test::run_until(world.loop, [&] { return (answered = deaf.receive()).has_value(); }));
            return answered ? answered->status : 1;
        };
        deaf.hello();
        ASSERT_EQ(answer(), 0);
        deaf.open(2, world.digest);
        ASSERT_EQ(answer(), 0);
        ASSERT_EQ(::shutdown(deaf.fd(), SHUT_RD), 0);
        const auto closes = world.daemon->counters().closes;
        deaf.read(3, 1, at);
        EXPECT_TRUE(test::run_until(world.loop, [&] { return world.daemon->counters().closes == closes + 1; }));
    }
    const auto [opened, blob] = world.open_blob(client, world.digest.to_string());
    ASSERT_EQ(opened, 0);
    EXPECT_EQ(world.read(blob, 0, world.size).second, world.content);
}

TEST_F(LibraryTest, BlocksThatWereNeverWrittenAreFetchedAndNotReadAsZeros)
{
    Library world;
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    const auto [status, client] = world.connect();
    ASSERT_EQ(status, 0);
    const auto path = world.file_of(world.digest);
    const auto spoil = [&](const BlobPtr& blob) { // a power cut, or a write that failed, and then somebody's readahead
        const UniqueFd file{kAdoptFd, ::open(path.c_str(), O_RDWR | O_CLOEXEC)};
        const auto half = world.size / 2 / kBlockSize * kBlockSize;
        EXPECT_EQ(
            ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(half), 1 << 30), 0
        );
        EXPECT_EQ(::fallocate(file.get(), 0, static_cast<off_t>(half), static_cast<off_t>(world.size - half)), 0);
        std::string all(world.size, '?');
        EXPECT_EQ(::pread(file.get(), all.data(), all.size(), 0), std::ssize(all));
        std::uint64_t length = world.size - half;
        unsigned long flags = 0;
        EXPECT_EQ(
            sluice_blob_prepare(blob.get(), static_cast<std::int64_t>(half), &length, &flags, nullptr),
            SLUICE_DOWNLOAD_FROM_SERVER
        );
    };
    {
        const auto [opened, blob] = world.open_blob(client, world.digest.to_string());
        ASSERT_EQ(opened, 0);
        spoil(blob);
        EXPECT_EQ(world.read(blob, 0, world.size).second, world.content);
    }
    const auto [opened, blob] = world.open_blob(client, world.digest.to_string());
    ASSERT_EQ(opened, 0);
    spoil(blob);
    world.stop();
    world.start();
    EXPECT_EQ(world.read(blob, 0, world.size).second, world.content);
}

TEST_F(LibraryTest, WithoutADaemonNobodyConnects)
{
    Library world;
    EXPECT_EQ(world.connect().first, -ENOENT);
}

TEST_F(LibraryTest, ADaemonThatIsGoneIsSaidInTime)
{
    OpenedLibrary world{200};
    world.stop();
    EXPECT_EQ(world.read(world.blob, 4096, 4096).first, -ETIMEDOUT); // registration has brought in the first block
}

} // namespace
} // namespace sluice::daemon
