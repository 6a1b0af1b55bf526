// SPDX-License-Identifier: Apache-2.0
// The real thing but for the cachefiles transport: EROFS from files, bind mounts, overlays.
#include "tests/unit/tools/erofs_fixture.hpp"
#include "tools/fs_context.hpp"
#include "tools/layer_usage.hpp"
#include "tools/mount_table.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sched.h>
#include <set>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace sluice::test {

namespace {

using tools::mount_image;
using tools::unmount_image;
using Names = std::vector<std::string>;

} // namespace

TEST_F(MountingTest, ShowsAnImageOfOneLayerThroughABindMount)
{
    const auto layers = open_layers();
    const auto app = image({make_layer("a", "hello", "world")});
    const auto dir = make_target("m");

    const auto mounted = mount_image(layers, app, dir, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, mounter_);
    ASSERT_TRUE(mounted) << mounted.error().text();
    EXPECT_EQ(read_file(dir + "/hello"), "world");
    EXPECT_EQ(mounted_layers(), Names{"a"});

    struct statvfs info {};

    ASSERT_EQ(::statvfs(dir.c_str(), &info), 0);
    EXPECT_EQ(
        info.f_flag & (ST_RDONLY | ST_NOEXEC | ST_NOSUID | ST_NODEV), static_cast<unsigned long>(ST_RDONLY | ST_NOEXEC)
    ) << "the mount has the options it was given, not the layer's";

    const auto report = unmount_image(layers, dir);
    ASSERT_TRUE(report) << report.error().text();
    EXPECT_EQ(report->released, Names{"a"});
    EXPECT_EQ(mounted_layers(), Names{});
    EXPECT_EQ(layer_directories(), Names{});
}

TEST_F(MountingTest, LaysTheUpperLayerOverTheLower)
{
    const auto layers = open_layers();
    const auto lower = make_layer("low", "file", "from below");
    const auto other = make_layer("mid", "other", "in between");
    const auto upper = make_layer("top", "file", "from above");
    for (const auto style : {tools::OverlayStyle::kAuto, tools::OverlayStyle::kOneString}) {
        const auto dir = make_target("m");
        const auto mounted = mount_image(
            layers, image({lower, other, upper}), dir, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, mounter_, style
        );
        ASSERT_TRUE(mounted) << mounted.error().text();
        EXPECT_EQ(read_file(dir + "/file"), "from above");
        EXPECT_EQ(read_file(dir + "/other"), "in between");

        struct statvfs info {};

        ASSERT_EQ(::statvfs(dir.c_str(), &info), 0);
        EXPECT_NE(info.f_flag & ST_NODEV, 0UL);
        EXPECT_EQ(mounted_layers(), (Names{"low", "mid", "top"}));

        const auto released = layers.release_unused();
        ASSERT_TRUE(released);
        EXPECT_EQ(released->in_use, (Names{"low", "mid", "top"})) << "an overlay's layers are in use";
        const auto unmounted = unmount_image(layers, dir);
        ASSERT_TRUE(unmounted) << unmounted.error().text();
        EXPECT_EQ(mounted_layers(), Names{});
    }
}

TEST_F(MountingTest, StacksFortyLayersEitherWay)
{
    const auto layers = open_layers();
    std::vector<tools::LayerSpec> specs;
    for (int i = 0; i < 40; ++i) {
        specs.push_back(make_layer(fmt::format("{:064x}", i), fmt::format("file{}", i), fmt::format("layer {}", i)));
    }
    for (const auto style : {tools::OverlayStyle::kAppended, tools::OverlayStyle::kOneString}) {
        const auto dir = make_target("m");
        const auto mounted = mount_image(layers, image(specs), dir, MOUNT_ATTR_RDONLY, mounter_, style);
        ASSERT_TRUE(mounted) << mounted.error().text();
        for (int i = 0; i < 40; ++i) {
            EXPECT_EQ(read_file(fmt::format("{}/file{}", dir, i)), fmt::format("layer {}", i));
        }
        ASSERT_TRUE(unmount_image(layers, dir));
        EXPECT_EQ(mounted_layers(), Names{});
    }
}

TEST_F(MountingTest, DoesNotMoveTheWorkingDirectoryOfItsCaller)
{
    const auto layers = open_layers();
    const auto before = std::filesystem::current_path();
    const auto both = image({make_layer("a", "f", "1"), make_layer("b", "g", "2")});
    const auto dir = make_target("m");
    ASSERT_TRUE(mount_image(layers, both, dir, MOUNT_ATTR_RDONLY, mounter_, tools::OverlayStyle::kOneString));
    EXPECT_EQ(std::filesystem::current_path(), before);
    ASSERT_TRUE(unmount_image(layers, dir));
}

TEST_F(MountingTest, FiftyAtOnceShareOneMountOfTheLayer)
{
    constexpr int kDirectories = 50;
    const auto layers = open_layers();
    const auto app = image({make_layer("a", "hello", "world")});
    std::vector<std::string> dirs;
    for (int i = 0; i < kDirectories; ++i) {
        dirs.push_back(make_target(std::to_string(i)));
    }
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int i = 0; i < kDirectories; ++i) {
        threads.emplace_back([&, i] {
            const auto mounted =
                mount_image(layers, app, dirs[static_cast<std::size_t>(i)], MOUNT_ATTR_RDONLY, mounter_);
            good += mounted ? 1 : 0;
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(good, kDirectories);
    EXPECT_EQ(mounter_.mounts(), 1);
    EXPECT_EQ(mounted_layers(), Names{"a"});
    for (const auto& dir : dirs) {
        EXPECT_EQ(read_file(dir + "/hello"), "world");
        EXPECT_EQ(::umount(dir.c_str()), 0);
    }
    const auto released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->released, Names{"a"});
}

TEST_F(MountingTest, FiftyProcessesMountAndUnmountWhileOthersRelease)
{
    constexpr int kProcesses = 50;
    const auto layers = open_layers();
    const auto both = image({make_layer("a", "f", "1"), make_layer("b", "g", "2")});
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
        const auto dir = make_target(std::to_string(i));
        const pid_t pid = ::fork();
        if (pid == 0) {
            bool good = mount_image(layers, both, dir, MOUNT_ATTR_RDONLY, mounter_).has_value();
            good = good && read_file(dir + "/f") == "1" && read_file(dir + "/g") == "2";
            if (i % 2 == 0) {
                good = good && unmount_image(layers, dir).has_value();
            }
            ::_exit(good ? 0 : 1);
        }
        children.push_back(pid);
    }
    for (const auto pid : children) {
        int status = -1;
        ASSERT_EQ(::waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(mounted_layers(), (Names{"a", "b"})) << "one mount a layer, whoever came and went";
    for (int i = 1; i < kProcesses; i += 2) {
        const auto dir = make_target(std::to_string(i));
        EXPECT_EQ(read_file(dir + "/g"), "2");
        EXPECT_EQ(::umount(dir.c_str()), 0);
    }
    ASSERT_TRUE(layers.release_unused());
    EXPECT_EQ(mounted_layers(), Names{});
}

TEST_F(MountingTest, APlainUmountIsEnoughForTheNextRelease)
{
    const auto layers = open_layers();
    const auto shared = make_layer("base", "base", "1");
    const auto one = make_target("one");
    const auto two = make_target("two");
    ASSERT_TRUE(mount_image(layers, image({shared, make_layer("x", "x", "1")}), one, MOUNT_ATTR_RDONLY, mounter_));
    ASSERT_TRUE(mount_image(layers, image({shared, make_layer("y", "y", "1")}), two, MOUNT_ATTR_RDONLY, mounter_));
    EXPECT_EQ(mounter_.mounts(), 3);

    ASSERT_EQ(::umount(one.c_str()), 0);
    const auto released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->released, Names{"x"});
    EXPECT_EQ(mounted_layers(), (Names{"base", "y"}));
    EXPECT_EQ(read_file(two + "/base"), "1");
    ASSERT_EQ(::umount(two.c_str()), 0);
    ASSERT_TRUE(layers.release_unused());
    EXPECT_EQ(mounted_layers(), Names{});
}

TEST_F(MountingTest, AFailedMountLeavesNothingBehindAndSaysWhy)
{
    const auto layers = open_layers();
    const auto good = make_layer("good", "f", "1");
    tools::LayerSpec bad = good;
    bad.mount_name = "bad";
    bad.digest = "sha256:bad";
    const auto dir = make_target("m");
    const auto mounted = mount_image(layers, image({good, bad}), dir, MOUNT_ATTR_RDONLY, mounter_);
    ASSERT_FALSE(mounted);
    EXPECT_NE(mounted.error().text().find("sha256:bad"), std::string::npos) << mounted.error().text();
    EXPECT_EQ(mounted_layers(), Names{});
    EXPECT_EQ(layer_directories(), Names{});
    EXPECT_TRUE(std::filesystem::is_empty(dir));
}

TEST_F(MountingTest, AnImageThatIsNoneFailsAndLeavesNothing)
{
    const auto layers = open_layers();
    const auto broken = make_layer("broken", "f", "1");
    mounter_.add("broken", temp_->write("broken.erofs", std::string(8192, 'x')).string());
    const auto mounted = mount_image(layers, image({broken}), make_target("m"), MOUNT_ATTR_RDONLY, mounter_);
    ASSERT_FALSE(mounted);
    EXPECT_EQ(mounted.error().code(), EINVAL);
    EXPECT_EQ(layer_directories(), Names{});
}

TEST_F(MountingTest, PutsTheKernelsOwnWordsIntoTheError)
{
    auto context = tools::FsContext::open("erofs");
    ASSERT_TRUE(context);
    const auto set = context->set_string("no-such-option", "1");
    ASSERT_FALSE(set);
    EXPECT_NE(set.error().text().find("Unknown parameter"), std::string::npos) << set.error().text();
    const auto too_long = context->set_string("source", std::string(256, 'x'));
    ASSERT_FALSE(too_long);
    EXPECT_NE(too_long.error().text().find("256 bytes"), std::string::npos) << too_long.error().text();
}

TEST_F(MountingTest, AMissingTargetFailsBeforeAnyLayerIsMounted)
{
    const auto layers = open_layers();
    const auto missing = (temp_->path() / "nowhere").string();
    const auto mounted = mount_image(layers, image({make_layer("a", "f", "1")}), missing, MOUNT_ATTR_RDONLY, mounter_);
    ASSERT_FALSE(mounted);
    EXPECT_EQ(mounted.error().code(), ENOENT);
    EXPECT_EQ(mounter_.mounts(), 0);
}

TEST_F(MountingTest, ClearsAwayWhatACrashLeft)
{
    const auto layers = open_layers();
    const auto layer = make_layer("a", "f", "1");
    {
        const auto hold = layers.hold(); // a mounter that dies after its first layer
        ASSERT_TRUE(hold);
        ASSERT_TRUE(layers.ensure(*hold, layer, mounter_));
    }
    std::filesystem::create_directory(layers_dir() + "/b"); // and one that died before the mount
    const auto released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->released, Names{"a"});
    EXPECT_EQ(layer_directories(), Names{});

    std::filesystem::create_directory(layers_dir() + "/a");
    const auto dir = make_target("m");
    ASSERT_TRUE(mount_image(layers, image({layer}), dir, MOUNT_ATTR_RDONLY, mounter_));
    EXPECT_EQ(read_file(dir + "/f"), "1");
    ASSERT_TRUE(unmount_image(layers, dir));
}

TEST_F(MountingTest, KeepsALayerWhoseFilesAreOpen)
{
    const auto layers = open_layers();
    {
        const auto hold = layers.hold();
        ASSERT_TRUE(hold && layers.ensure(*hold, make_layer("a", "f", "1"), mounter_));
    }
    UniqueFd open{kAdoptFd, ::open((layers_dir() + "/a/f").c_str(), O_RDONLY | O_CLOEXEC)};
    ASSERT_TRUE(open);
    auto released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->in_use, Names{"a"});
    open.reset();
    released = layers.release_unused();
    ASSERT_TRUE(released);
    EXPECT_EQ(released->released, Names{"a"});
}

TEST_F(MountingTest, UnmountRefusesWhatIsNotAnImage)
{
    const auto layers = open_layers();
    const auto dir = make_target("m");
    auto refused = unmount_image(layers, dir);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text().find("nothing is mounted"), std::string::npos);

    ASSERT_EQ(::mount("tmpfs", dir.c_str(), "tmpfs", 0, nullptr), 0);
    refused = unmount_image(layers, dir);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text().find("tmpfs"), std::string::npos);

    const auto image_dir = make_target("i");
    ASSERT_TRUE(mount_image(layers, image({make_layer("a", "f", "1")}), image_dir, MOUNT_ATTR_RDONLY, mounter_));
    EXPECT_FALSE(unmount_image(layers, layers_dir() + "/a"));
    EXPECT_EQ(mounted_layers(), Names{"a"});
    const auto link = temp_->path() / "link";
    std::filesystem::create_symlink(image_dir, link);
    EXPECT_TRUE(unmount_image(layers, link.string()));
}

} // namespace sluice::test
