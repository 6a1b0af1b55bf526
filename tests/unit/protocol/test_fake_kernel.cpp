// SPDX-License-Identifier: Apache-2.0
//
// The fake is only worth what it has in common with the kernel: these are the kernel's rules.
#include "protocol/message.hpp"
#include "tests/support/fake_kernel.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>

namespace sluice::test {
namespace {

using protocol::filled;
using protocol::OpenMessage;

class FakeKernelTest : public FdLeakTest {
protected:
    void SetUp() override
    {
        FdLeakTest::SetUp();
        kernel_ = std::make_unique<FakeKernel>(dir_.path());
        device_ = UniqueFd{kAdoptFd, kernel_->io().open_device()};
    }

    void TearDown() override
    {
        device_.reset();
        kernel_.reset();
        FdLeakTest::TearDown();
    }

    int command(std::string_view text) { return kernel_->io().write(device_.get(), text); }

    void bind()
    {
        EXPECT_EQ(command("dir " + dir_.path().string()), 0);
        EXPECT_EQ(command("bind ondemand"), 0);
    }

    struct Opened {
        OpenMessage message;
        UniqueFd fd;
    };

    Opened take_open()
    {
        std::array<std::byte, 1024> buffer{};
        const auto got = kernel_->io().read(device_.get(), buffer);
        EXPECT_GT(got, 0);
        auto message = protocol::decode(std::span<const std::byte>{buffer}.first(static_cast<std::size_t>(got)));
        EXPECT_TRUE(message.has_value());
        auto open = std::get<OpenMessage>(*message);
        auto fd = kernel_->io().adopt_object(open.fd);
        EXPECT_TRUE(fd.has_value());
        return {std::move(open), std::move(*fd)};
    }

    TempDir dir_;
    std::unique_ptr<FakeKernel> kernel_;
    UniqueFd device_;
};

TEST_F(FakeKernelTest, FramesCommandsAsTheKernelDoes)
{
    EXPECT_EQ(command(std::string{"dir /x\0", 7}), -EINVAL);
    EXPECT_EQ(command("\n"), -EINVAL);
    EXPECT_EQ(command(""), -EOPNOTSUPP);
    EXPECT_EQ(command(" dir /x"), -EOPNOTSUPP);
    EXPECT_EQ(command("nonsense"), -EOPNOTSUPP);
    EXPECT_EQ(command(std::string(4096, 'x')), -EOPNOTSUPP);
    EXPECT_EQ(command("bind ondemand"), -EINVAL) << "no directory";
    EXPECT_EQ(command("dir " + dir_.path().string() + "\ntag dropped"), 0);
    EXPECT_EQ(command("dir /again"), -EEXIST);
    EXPECT_EQ(command("bind ondemand "), -EINVAL);
    EXPECT_EQ(command("copen 0,1"), -EOPNOTSUPP);
    EXPECT_EQ(command("tag kept"), 0);
    EXPECT_EQ(command("bind ondemand"), 0);
    EXPECT_EQ(command("bind ondemand"), -EBUSY);
}

TEST_F(FakeKernelTest, ChecksLimitsOneAtATime)
{
    EXPECT_EQ(command("brun 5%"), -EINVAL);
    EXPECT_EQ(command("bcull 7%"), -EINVAL);
    EXPECT_EQ(command("bstop 5%"), -EINVAL);
    EXPECT_EQ(command("bstop 0"), -EINVAL);
    EXPECT_EQ(command("bstop 0%"), 0);
    EXPECT_EQ(command("brun 99%"), 0);
    EXPECT_EQ(command("brun 100%"), -EINVAL);
}

TEST_F(FakeKernelTest, OneOpenerOnly)
{
    EXPECT_EQ(kernel_->io().open_device(), -EBUSY);
    device_.reset();
    device_ = UniqueFd{kAdoptFd, kernel_->io().open_device()};
    EXPECT_TRUE(device_);
}

TEST_F(FakeKernelTest, ReadsNothingWhenThereIsNothingAndPollsWhenThereIs)
{
    bind();
    std::array<std::byte, 1024> buffer{};
    EXPECT_EQ(kernel_->io().read(device_.get(), buffer), 0);
    const auto object = kernel_->open_object("v", "c");
    pollfd poll{device_.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&poll, 1, 0), 1);
    const auto opened = take_open();
    EXPECT_EQ(opened.message.volume, "v");
    EXPECT_EQ(kernel_->io().read(device_.get(), buffer), 0);
}

TEST_F(FakeKernelTest, CopenIsAsStrictAsTheKernels)
{
    bind();
    const auto object = kernel_->open_object("v", "c");
    EXPECT_EQ(command("copen 0,4096"), -EINVAL) << "not read yet";
    const auto opened = take_open();
    EXPECT_EQ(command("copen"), -EINVAL);
    EXPECT_EQ(command("copen 0"), -EINVAL);
    EXPECT_EQ(command("copen 1,4096"), -EINVAL) << "unknown id";
    EXPECT_EQ(kernel_->state(object), FakeObjectState::kOpening) << "nothing of that consumed it";
    EXPECT_EQ(command("copen 0, 4096"), -EINVAL);
    EXPECT_EQ(kernel_->state(object), FakeObjectState::kFailed) << "but a malformed size does";
}

TEST_F(FakeKernelTest, CopenAfterTheDescriptorWentSucceedsAndTheOpenFails)
{
    bind();
    const auto object = kernel_->open_object("v", "c");
    {
        const auto opened = take_open();
    }
    EXPECT_EQ(command("copen 0,4096"), 0);
    EXPECT_EQ(kernel_->open_error(object), EBADFD);
}

TEST_F(FakeKernelTest, ObjectsTakeAlignedWritesOnceOpen)
{
    bind();
    const auto object = kernel_->open_object("v", "c");
    const auto opened = take_open();
    auto data = filled(kBlockSize, 1);
    EXPECT_EQ(kernel_->io().pwrite(opened.fd.get(), data.bytes(), 0), -ENOBUFS) << "before copen";
    EXPECT_EQ(command("copen 0,10000"), 0);
    EXPECT_EQ(kernel_->io().pwrite(opened.fd.get(), data.bytes(), 512), -ENOBUFS);
    EXPECT_EQ(kernel_->io().pwrite(opened.fd.get(), data.bytes().first(100), 0), -EINVAL);
    EXPECT_EQ(kernel_->io().pwrite(opened.fd.get(), data.bytes(), 0), static_cast<ssize_t>(kBlockSize));
    EXPECT_EQ(std::filesystem::file_size(kernel_->backing_file(object)), 12288U);
    EXPECT_EQ(kernel_->counts().bad_writes, 3U);
}

TEST_F(FakeKernelTest, AnotherSizeStartsAnEmptyFile)
{
    bind();
    for (const auto* size : {"8192", "8192", "4096"}) {
        const auto object = kernel_->open_object("v", "c");
        const auto opened = take_open();
        EXPECT_EQ(command("copen " + std::to_string(opened.message.message.value) + "," + size), 0);
        const bool cached = protocol::probe_fd(opened.fd.get(), 0, kBlockSize).present;
        EXPECT_EQ(cached, opened.message.object.value == 2);
        auto data = filled(kBlockSize, 1);
        EXPECT_GT(kernel_->io().pwrite(opened.fd.get(), data.bytes(), 0), 0);
    }
}

TEST_F(FakeKernelTest, OnlyTheObjectsOwnDescriptorAnswersARead)
{
    bind();
    const auto first = kernel_->open_object("v", "one");
    const auto one = take_open();
    const auto second = kernel_->open_object("v", "two");
    const auto two = take_open();
    EXPECT_EQ(command("copen 0,4096"), 0);
    EXPECT_EQ(command("copen 1,4096"), 0);
    const auto request = kernel_->read(first, {0, kBlockSize});
    const MessageId id{request->message};
    EXPECT_EQ(kernel_->io().read_complete(one.fd.get(), id), -EINVAL) << "not delivered yet";
    std::array<std::byte, 1024> buffer{};
    EXPECT_EQ(kernel_->io().read(device_.get(), buffer), 32);
    EXPECT_EQ(kernel_->io().read_complete(two.fd.get(), id), -EINVAL);
    EXPECT_EQ(kernel_->io().read_complete(one.fd.get(), id), 0);
    EXPECT_EQ(kernel_->result(request), EIO);
    EXPECT_EQ(kernel_->io().read_complete(one.fd.get(), id), -EINVAL);
}

TEST_F(FakeKernelTest, AMissOnAClosedDescriptorIsHeldBackUntilItIsReopened)
{
    bind();
    const auto object = kernel_->open_object("v", "c");
    {
        const auto opened = take_open();
        EXPECT_EQ(command("copen 0,4096"), 0);
    }
    const auto request = kernel_->read(object, {0, kBlockSize});
    EXPECT_EQ(kernel_->state(object), FakeObjectState::kReopening);
    const auto again = take_open();
    EXPECT_EQ(again.message.object.value, 2U);
    std::array<std::byte, 1024> buffer{};
    EXPECT_EQ(kernel_->io().read(device_.get(), buffer), 0);
    EXPECT_EQ(command("copen " + std::to_string(again.message.message.value) + ",4096"), 0);
    EXPECT_EQ(kernel_->io().read(device_.get(), buffer), 32);
    EXPECT_EQ(kernel_->io().read_complete(again.fd.get(), MessageId{request->message}), 0);
}

TEST_F(FakeKernelTest, RestoreFailsAnOpenWhoseDescriptorIsStillOpen)
{
    bind();
    const auto object = kernel_->open_object("v", "c");
    const auto opened = take_open();
    EXPECT_EQ(command("restore"), 0);
    std::array<std::byte, 1024> buffer{};
    EXPECT_EQ(kernel_->io().read(device_.get(), buffer), -EEXIST);
    EXPECT_EQ(kernel_->state(object), FakeObjectState::kFailed);
}

} // namespace
} // namespace sluice::test
