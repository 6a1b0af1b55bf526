// SPDX-License-Identifier: Apache-2.0
// What is mounted at a directory already, and what a dead daemon has left there.
#include "tests/unit/tools/erofs_fixture.hpp"
#include "tests/unit/tools/stalling_files.hpp"
#include "tools/blob_file_mounter.hpp"

#include <filesystem>
#include <optional>
#include <sys/mount.h>
#include <system_error>

namespace sluice::test {

namespace {

using tools::mount_image;
using tools::Presence;
using tools::unmount_image;
using Names = std::vector<std::string>;

const std::string kLow(64, '1');
const std::string kTop(64, '2');

} // namespace

TEST_F(MountingTest, TellsWhetherAnImageIsAlreadyThere)
{
    const auto layers = open_layers();
    const auto a = make_layer("a", "f", "1");
    const auto b = make_layer("b", "g", "2");
    const auto dir = make_target("m");
    const auto there = [&](const tools::ImageSpec& spec) {
        const auto answer = tools::find_image(layers.dir(), spec, dir, mounter_);
        return answer && *answer == tools::Presence::kThere;
    };
    EXPECT_FALSE(there(image({a})));
    ASSERT_TRUE(mount_image(layers, image({a}), dir, MOUNT_ATTR_RDONLY, mounter_));
    EXPECT_TRUE(there(image({a})));
    EXPECT_FALSE(there(image({a, b})));
    ASSERT_TRUE(unmount_image(layers, dir));
    ASSERT_TRUE(mount_image(layers, image({a, b}), dir, MOUNT_ATTR_RDONLY, mounter_));
    EXPECT_TRUE(there(image({a, b})));
    EXPECT_FALSE(there(image({b, a})));
    EXPECT_FALSE(there(image({a})));
}

TEST_F(MountingTest, TellsAnotherImageFromWhatIsNone)
{
    const auto layers = open_layers();
    const auto a = make_layer("a", "f", "1");
    const auto b = make_layer("b", "g", "2");
    const auto dir = make_target("m");
    const auto presence = [&](const tools::ImageSpec& spec) {
        return *tools::find_image(layers.dir(), spec, dir, mounter_);
    };
    ASSERT_EQ(::mount("none", dir.c_str(), "tmpfs", 0, nullptr), 0);
    EXPECT_EQ(presence(image({a})), Presence::kAbsent);
    ASSERT_TRUE(mount_image(layers, image({a}), dir, MOUNT_ATTR_RDONLY, mounter_));
    EXPECT_EQ(presence(image({b})), Presence::kOther);
    EXPECT_EQ(presence(image({a, b})), Presence::kOther);
    ASSERT_TRUE(mount_image(layers, image({a, b}), dir, MOUNT_ATTR_RDONLY, mounter_));
    EXPECT_EQ(presence(image({a})), Presence::kOther);
}

TEST_F(MountingTest, ADeadMountIsFoundThroughALinkAndDetachedWhereItIs)
{
    const auto layers = open_layers();
    const auto dir = make_target("m");
    const auto link = (temp_->path() / "link").string();
    std::filesystem::create_symlink(dir, link);
    ASSERT_TRUE(mount_image(layers, image({make_layer("a", "f", "1")}), dir, MOUNT_ATTR_RDONLY, mounter_));
    const auto detached = tools::detach_dead(link);
    EXPECT_TRUE(detached) << detached.error().text();
    EXPECT_TRUE(std::filesystem::is_empty(dir));
}

TEST_F(MountingTest, ADeadMountIsToldFromALiveOneEvenIfItsLayersWereReplaced)
{
    const auto layers = open_layers();
    for (const auto& made :
         {std::vector{make_layer(kLow, "f", "1")},
          std::vector{make_layer(kLow, "f", "1"), make_layer(kTop, "g", "2")}}) {
        const auto name = std::to_string(made.size());
        const auto first = image(restart(made, "first" + name));
        const auto dir = make_target("m" + name);
        const auto other = make_target("other" + name);
        const auto presence = [&](const tools::ImageSpec& spec, const std::string& at) {
            const auto answer = tools::find_image(layers.dir(), spec, at, mounter_);
            return answer ? *answer : Presence::kAbsent;
        };
        ASSERT_TRUE(mount_image(layers, first, dir, MOUNT_ATTR_RDONLY, mounter_));
        EXPECT_EQ(presence(first, dir), Presence::kThere);

        const auto second = image(restart(made, "second" + name));
        EXPECT_EQ(presence(second, dir), Presence::kDead);
        ASSERT_TRUE(mount_image(layers, second, other, MOUNT_ATTR_RDONLY, mounter_));
        EXPECT_EQ(presence(second, other), Presence::kThere);
        EXPECT_EQ(presence(second, dir), Presence::kDead) << "its layers were replaced, it was not";

        ASSERT_TRUE(tools::detach_dead(dir));
        EXPECT_EQ(presence(second, dir), Presence::kAbsent);
        ASSERT_TRUE(mount_image(layers, second, dir, MOUNT_ATTR_RDONLY, mounter_));
        EXPECT_EQ(presence(second, dir), Presence::kThere);
        ASSERT_TRUE(unmount_image(layers, dir));
        ASSERT_TRUE(unmount_image(layers, other));
        EXPECT_EQ(mounted_layers(), Names{});
    }
}

TEST_F(MountingTest, UnmountsWhatStandsOnALoopDeviceOverABlobWhateverBecameOfTheLayer)
{
    tools::BlobFileMounter loops{true};
    const auto layers = open_layers();
    const auto layer = make_layer(kLow, "f", "1");
    const auto first = image(restart({layer}, "first"));
    const auto dir = make_target("m");
    const auto mounted = mount_image(layers, first, dir, MOUNT_ATTR_RDONLY, loops);
    if (!mounted) {
        GTEST_SKIP() << "no loop devices here: " << mounted.error().text();
    }
    ASSERT_EQ(::umount2((layers_dir() + "/" + kLow).c_str(), MNT_DETACH), 0);

    const auto unmounted = unmount_image(layers, dir);
    EXPECT_TRUE(unmounted) << unmounted.error().text();
    EXPECT_TRUE(std::filesystem::is_empty(dir));
}

TEST_F(MountingTest, AsksNothingOfAFileSystemThatNobodyServes)
{
    tools::BlobFileMounter loops{true};
    const auto layers = open_layers();
    auto stalling = make_layer(kLow, "f", "1");
    auto other = restart({make_layer(kTop, "g", "2")}, "other").front();
    const auto blobs = temp_->path() / "blobs";
    std::filesystem::create_directories(blobs / "2c26b46b");
    std::filesystem::create_symlink(blobs, temp_->path() / "link");
    stalling.blobs_dir = temp_->path() / "link" / "2c26b46b"; // as blobs-dir may be given
    auto successor = stalling;
    successor.blobs_dir = temp_->path() / "link" / "3d37c57c";
    const auto dir = make_target("m");
    const auto elsewhere = make_target("elsewhere");
    const auto presence = [&](const tools::LayerSpec& layer) {
        const auto answer = tools::find_image(layers.dir(), image({layer}), dir, loops);
        return answer ? *answer : Presence::kAbsent;
    };
    std::optional<StallingFiles> files;
    try {
        files.emplace((blobs / "2c26b46b").string(), read_file((temp_->path() / (kLow + ".erofs")).string()));
    } catch (const std::system_error& error) {
        GTEST_SKIP() << "no FUSE here: " << error.what();
    }
    const auto mounted = mount_image(layers, image({stalling}), dir, MOUNT_ATTR_RDONLY, loops);
    if (!mounted) {
        GTEST_SKIP() << "no loop devices here: " << mounted.error().text();
    }

    files->stall(); // what asks it anything from here on hangs
    EXPECT_EQ(presence(stalling), Presence::kThere);
    EXPECT_EQ(presence(successor), Presence::kDead);
    EXPECT_EQ(presence(other), Presence::kOther);
    EXPECT_TRUE(mount_image(layers, image({other}), elsewhere, MOUNT_ATTR_RDONLY, loops));
    EXPECT_EQ(read_file(elsewhere + "/g"), "2");
    EXPECT_TRUE(unmount_image(layers, elsewhere));
    EXPECT_TRUE(tools::detach_dead(dir));
    EXPECT_TRUE(layers.release_unused());
    EXPECT_EQ(mounted_layers(), Names{});
}

TEST_F(MountingTest, LooksForLayersWithoutMakingTheirDirectory)
{
    const auto layers = open_layers();
    EXPECT_FALSE(unmount_image(layers, make_target("m")));
    EXPECT_TRUE(layers.release_unused());
    EXPECT_FALSE(std::filesystem::exists(layers_dir()));
}

} // namespace sluice::test
