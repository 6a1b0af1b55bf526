// SPDX-License-Identifier: Apache-2.0
#include "tools/mount_options.hpp"

#include <gtest/gtest.h>
#include <sys/mount.h>

namespace sluice::tools {

namespace {

std::uint64_t attributes(std::string_view text)
{
    const auto options = parse_mount_options(text);
    EXPECT_TRUE(options) << options.error().text();
    return options ? options->attributes : 0;
}

constexpr auto kDefault = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

} // namespace

TEST(MountOptions, AreReadOnlyAndWithoutDevicesAndSetuidByDefault)
{
    EXPECT_EQ(attributes(""), kDefault);
    EXPECT_EQ(attributes("defaults,ro"), kDefault);
    EXPECT_EQ(attributes("suid,dev,defaults"), kDefault);
}

TEST(MountOptions, SuidAndDevAreHadByName)
{
    EXPECT_EQ(attributes("suid"), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
    EXPECT_EQ(attributes("defaults,dev"), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
    EXPECT_EQ(attributes("suid,dev"), MOUNT_ATTR_RDONLY);
}

TEST(MountOptions, TheLaterOneWins)
{
    EXPECT_EQ(
        attributes("nodev,nosuid,noexec"), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC
    );
    EXPECT_EQ(attributes("nodev,nosuid,dev"), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
    EXPECT_EQ(attributes("noatime,relatime"), kDefault);
    EXPECT_EQ(attributes("strictatime"), kDefault | MOUNT_ATTR_STRICTATIME);
    EXPECT_EQ(attributes("suid,user,exec"), kDefault);
}

TEST(MountOptions, AnEmptyPathIsNoPath)
{
    for (const auto origin : {OptionOrigin::kOperator, OptionOrigin::kMount, OptionOrigin::kSloppyMount}) {
        EXPECT_FALSE(parse_mount_options("socket=", origin));
        EXPECT_FALSE(parse_mount_options("nodev,layers-dir=", origin));
    }
}

TEST(MountOptions, OursAreTaken)
{
    const auto options = parse_mount_options("lazy-only,refresh,socket=/tmp/s,layers-dir=/l, nodev ");
    ASSERT_TRUE(options);
    EXPECT_TRUE(options->lazy_only);
    EXPECT_TRUE(options->refresh);
    EXPECT_EQ(options->socket, "/tmp/s");
    EXPECT_EQ(options->layers_dir, "/l");
}

TEST(MountOptions, WhatIsForOthersIsSkipped)
{
    EXPECT_EQ(attributes("_netdev,x-systemd.automount,X-mount.mkdir,noauto,nofail,comment=hello,,"), kDefault);
}

TEST(MountOptions, NamesWhatItDoesNotKnow)
{
    const auto unknown = parse_mount_options("ro,frobnicate");
    ASSERT_FALSE(unknown);
    EXPECT_NE(unknown.error().text().find("frobnicate"), std::string::npos);
    const auto writable = parse_mount_options("rw");
    ASSERT_FALSE(writable);
    EXPECT_NE(writable.error().text().find("rw"), std::string::npos);
}

TEST(MountOptions, MountsOwnRwMeansNothingAndSloppySkipsTheUnknown)
{
    const auto from_mount = parse_mount_options("rw,noatime", OptionOrigin::kMount);
    ASSERT_TRUE(from_mount);
    EXPECT_EQ(from_mount->attributes, kDefault | MOUNT_ATTR_NOATIME);
    EXPECT_FALSE(parse_mount_options("rw,frobnicate", OptionOrigin::kMount));
    EXPECT_TRUE(parse_mount_options("rw,frobnicate", OptionOrigin::kSloppyMount));
}

TEST(MountOptions, TranslateForMount2)
{
    EXPECT_EQ(mount_flags(MOUNT_ATTR_RDONLY), static_cast<unsigned long>(MS_RDONLY | MS_RELATIME));
    EXPECT_EQ(
        mount_flags(MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME),
        static_cast<unsigned long>(MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_NOATIME)
    );
    EXPECT_EQ(mount_flags(MOUNT_ATTR_STRICTATIME), static_cast<unsigned long>(MS_STRICTATIME));
}

} // namespace sluice::tools
