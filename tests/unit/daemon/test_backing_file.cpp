// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/backing_file.hpp"
#include "tests/support/fake_blob.hpp"

#include <cerrno>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Writes by one are seen by the other, as two descriptors of one file do.
class SameFile final : public protocol::ObjectHandle {
public:
    explicit SameFile(std::shared_ptr<test::MemoryHandle> file) : file_{std::move(file)} {}

    Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override
    {
        ++writes;
        return file_->write(offset, data);
    }

    Result<std::vector<ByteRange>> missing(ByteRange range) const override { return file_->missing(range); }

    unsigned writes = 0;

private:
    std::shared_ptr<test::MemoryHandle> file_;
};

class BackingFileTest : public ::testing::Test {
protected:
    static std::shared_ptr<test::MemoryHandle> handle() { return std::make_shared<test::MemoryHandle>(16384); }

    static AlignedBuffer block()
    {
        auto bytes = AlignedBuffer::allocate(kBlockSize);
        bytes.set_size(kBlockSize);
        return bytes;
    }

    BackingFile file_{nullptr};
};

TEST_F(BackingFileTest, WithoutAHandleNothingIsWrittenAndNothingKnown)
{
    EXPECT_EQ(file_.write(0, block().bytes()).error().kind(), ErrorKind::kCancelled);
    EXPECT_EQ(file_.missing({0, 4096}).error().kind(), ErrorKind::kCancelled);
}

TEST_F(BackingFileTest, WhatOneOfTwoFilesLacksIsMissing)
{
    const auto one = handle();
    const auto other = handle();
    ASSERT_TRUE(one->write(0, block().bytes()));
    ASSERT_TRUE(other->write(8192, block().bytes()));
    file_.attach(one);
    EXPECT_THAT(file_.missing({0, 16384}).value(), ElementsAre(ByteRange(4096, 16384)));
    file_.attach(other);
    EXPECT_THAT(file_.missing({0, 16384}).value(), ElementsAre(ByteRange(0, 16384)));
    ASSERT_TRUE(file_.write(0, block().bytes()));
    EXPECT_TRUE(one->present().contains({0, 4096}));
    EXPECT_TRUE(other->present().contains({0, 4096}));
    EXPECT_THAT(file_.missing({0, 8192}).value(), ElementsAre(ByteRange(4096, 8192)));
}

TEST_F(BackingFileTest, TwoHandlesOfOneFileAreWrittenToOnce)
{
    const auto memory = handle();
    const auto one = std::make_shared<SameFile>(memory);
    const auto other = std::make_shared<SameFile>(memory);
    file_.attach(one);
    file_.attach(other);
    ASSERT_TRUE(file_.write(4096, block().bytes()));
    EXPECT_EQ(one->writes + other->writes, 1U);
}

TEST_F(BackingFileTest, AHandleThatWasDetachedIsLeftAlone)
{
    const auto one = handle();
    const auto other = handle();
    file_.attach(one);
    file_.attach(other);
    file_.detach(*one);
    ASSERT_TRUE(file_.write(0, block().bytes()));
    EXPECT_TRUE(one->present().empty());
    EXPECT_TRUE(other->present().contains({0, 4096}));
}

TEST_F(BackingFileTest, AHandleThatTheKernelHasClosedDoesNotFailTheOthers)
{
    const auto closed = handle();
    const auto open = handle();
    closed->fail_writes(Error{ErrorKind::kCancelled, "the object was closed", ESTALE});
    file_.attach(closed);
    file_.attach(open);
    EXPECT_TRUE(file_.write(0, block().bytes()));
    EXPECT_TRUE(open->present().contains({0, 4096}));
}

TEST_F(BackingFileTest, EachAttachmentIsAGeneration)
{
    const auto before = file_.generation();
    const auto one = handle();
    file_.attach(one);
    EXPECT_NE(file_.generation(), before);
    const auto after = file_.generation();
    file_.detach(*one);
    EXPECT_EQ(file_.generation(), after);
}

TEST_F(BackingFileTest, BelowTheStopLimitsNothingIsWrittenWhoeverAsks)
{
    bool full = true;
    const auto look = [&full](const std::string&, struct statvfs& fs) {
        fs.f_blocks = fs.f_files = 1000;
        fs.f_bavail = fs.f_ffree = full ? 9 : 500;
        return 0;
    };
    const auto space = std::make_shared<protocol::Space>("/cache", CacheLimits{}, look); // bstop is 1 %
    BackingFile limited{space};
    const auto one = handle();
    limited.attach(one);
    const auto refused = limited.write(0, block().bytes());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kNoSpace);
    EXPECT_EQ(refused.error().code(), ENOSPC);
    EXPECT_THAT(refused.error().text(), HasSubstr("bstop"));
    EXPECT_TRUE(space->is_low());
    EXPECT_EQ(space->refused(), 1U);
    EXPECT_TRUE(one->present().empty());
    EXPECT_FALSE(space->has_failed_write()) << "nothing was written";
    full = false;
    EXPECT_TRUE(limited.write(0, block().bytes()));
    EXPECT_FALSE(space->is_low());
}

TEST_F(BackingFileTest, OnlyWhatTheFileSystemHasFailedCountsAsAFailedWrite)
{
    const auto look = [](const std::string&, struct statvfs&) { return -EIO; }; // admits
    const auto space = std::make_shared<protocol::Space>("/cache", CacheLimits{}, look);
    BackingFile file{space};
    EXPECT_FALSE(file.write(0, block().bytes())) << "it is not open";
    const auto one = handle();
    file.attach(one);
    one->fail_writes(Error{ErrorKind::kCancelled, "the object was closed", ESTALE});
    EXPECT_FALSE(file.write(0, block().bytes()));
    EXPECT_FALSE(space->has_failed_write());
    one->fail_writes(Error::from_errno(EIO, "write"));
    EXPECT_FALSE(file.write(0, block().bytes()));
    EXPECT_TRUE(space->has_failed_write());
}

} // namespace
} // namespace sluice::daemon
