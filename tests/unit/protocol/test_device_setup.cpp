// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/protocol/device_fixture.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>

namespace sluice::protocol {
namespace {

class DeviceSetupTest : public DeviceTest {
protected:
    std::string failure(const Result<void>& started)
    {
        EXPECT_FALSE(started.has_value());
        return started ? std::string{} : started.error().text();
    }
};

TEST_F(DeviceSetupTest, ConfiguresBeforeItBindsAndProbesAfterwards)
{
    auto wanted = config();
    wanted.tag = "mytag";
    wanted.secctx = "label";
    wanted.debug = 3;
    wanted.limits = {{4, 3, 2}, {50, 40, 30}};
    ASSERT_TRUE(start(std::move(wanted)).has_value());
    const std::vector<std::string> expected{
        "bstop 2%",
        "bcull 3%",
        "brun 4%",
        "frun 50%",
        "fcull 40%",
        "fstop 30%",
        "dir " + world_->dir.path().string(),
        "tag mytag",
        "secctx label",
        "debug 3",
        "bind ondemand",
        "restore"};
    EXPECT_EQ(world_->kernel.commands(), expected);
    EXPECT_TRUE(world_->kernel.bound());
    EXPECT_TRUE(world_->device->can_restore());
}

TEST_F(DeviceSetupTest, AKernelWithoutRestoreIsGoodEnough)
{
    remake({.restore = false});
    ASSERT_TRUE(start().has_value());
    EXPECT_FALSE(world_->device->can_restore());
}

TEST_F(DeviceSetupTest, AKernelWithoutTheModeIsNamedAsSuch)
{
    remake({.ondemand = false});
    EXPECT_NE(failure(start()).find("CONFIG_CACHEFILES_ONDEMAND"), std::string::npos);
    EXPECT_EQ(world_->device->fd(), -1);
}

TEST_F(DeviceSetupTest, ABusyDeviceIsNamedAsSuch)
{
    ASSERT_TRUE(start().has_value());
    CachefilesFrontEnd second{world_->loop, world_->kernel.io(), config(), world_->descriptors};
    RecordingHandler handler;
    const auto text = failure(second.start(handler));
    EXPECT_NE(text.find("/dev/cachefiles is"), std::string::npos) << text;
}

TEST_F(DeviceSetupTest, AMissingDeviceAndMissingRightsSayWhatToDo)
{
    remake({.open_error = ENOENT});
    EXPECT_NE(failure(start()).find("modprobe cachefiles"), std::string::npos);
    remake({.open_error = EPERM});
    EXPECT_NE(failure(start()).find("CAP_SYS_ADMIN"), std::string::npos);
}

TEST_F(DeviceSetupTest, AMissingCacheDirectoryIsNamed)
{
    auto wanted = config();
    wanted.cache_dir = "/nonexistent/cache";
    EXPECT_NE(failure(start(std::move(wanted))).find("/nonexistent/cache"), std::string::npos);
}

TEST_F(DeviceSetupTest, BadSettingsAreFoundBeforeTheDeviceIsOpened)
{
    auto wanted = config();
    wanted.limits.blocks.run = 2;
    EXPECT_NE(failure(start(std::move(wanted))).find("bstop < bcull < brun"), std::string::npos);
    wanted = config();
    wanted.tag = "a\nb";
    (void)failure(start(std::move(wanted)));
    wanted = config();
    wanted.cache_dir = "relative";
    (void)failure(start(std::move(wanted)));
    EXPECT_TRUE(world_->kernel.commands().empty());
}

TEST_F(DeviceSetupTest, AFailedCommandClosesTheDeviceAgain)
{
    world_->kernel.fail_command("tag", EEXIST);
    EXPECT_NE(failure(start()).find("'tag CacheFiles'"), std::string::npos);
    world_->kernel.fail_command("tag", 0);
    EXPECT_TRUE(start().has_value()) << "it would be busy";
}

TEST_F(DeviceSetupTest, AnAdoptedDeviceIsNotConfiguredAgain)
{
    ASSERT_TRUE(start().has_value());
    auto successor = config();
    successor.adopted = UniqueFd{kAdoptFd, ::fcntl(world_->device->fd(), F_DUPFD, 0)};
    world_->device.reset();
    const auto before = world_->kernel.commands().size();
    ASSERT_TRUE(start(std::move(successor)).has_value());
    EXPECT_EQ(world_->kernel.commands().size(), before) << "restore was not asked for";
    EXPECT_NE(::fcntl(world_->device->fd(), F_GETFD) & FD_CLOEXEC, 0);
    (void)opened();
}

TEST_F(DeviceSetupTest, AnAdoptedDeviceWhoseCacheIsDeadIsRefused)
{
    ASSERT_TRUE(start().has_value());
    auto successor = config();
    successor.adopted = UniqueFd{kAdoptFd, ::fcntl(world_->device->fd(), F_DUPFD, 0)};
    successor.restore = true;
    world_->device.reset();
    world_->kernel.kill_cache();
    EXPECT_NE(failure(start(std::move(successor))).find("stored descriptor"), std::string::npos);
}

} // namespace
} // namespace sluice::protocol
