// SPDX-License-Identifier: Apache-2.0
#include "tools/mount_table.hpp"

#include <gtest/gtest.h>

namespace sluice::tools {

namespace {

MountEntry only(std::string_view text)
{
    const auto table = parse_mountinfo(text);
    EXPECT_TRUE(table) << table.error().text();
    EXPECT_EQ(table->size(), 1U);
    return table->front();
}

} // namespace

TEST(MountTable, ReadsAllFieldsOfALine)
{
    const auto e = only("36 35 98:7 /mnt1 /mnt2 rw,noatime shared:5 master:1 propagate_from:3 - "
                        "ext3 /dev/root rw,errors=continue\n");
    EXPECT_EQ(e.id, 36U);
    EXPECT_EQ(e.parent, 35U);
    EXPECT_EQ(e.device, (DeviceNumber{98, 7}));
    EXPECT_EQ(e.root, "/mnt1");
    EXPECT_EQ(e.mount_point, "/mnt2");
    EXPECT_EQ(e.options, "rw,noatime");
    EXPECT_EQ(e.shared, 5U);
    EXPECT_EQ(e.master, 1U);
    EXPECT_EQ(e.fs_type, "ext3");
    EXPECT_EQ(e.source, "/dev/root");
    EXPECT_EQ(e.super_options, "rw,errors=continue");
}

TEST(MountTable, KnowsPrivateMountsAndUnknownOptionalFields)
{
    const auto e = only("1 0 0:1 / / rw unbindable news:7 - rootfs none rw");
    EXPECT_FALSE(e.shared);
    EXPECT_FALSE(e.master);
    EXPECT_EQ(e.fs_type, "rootfs");
}

TEST(MountTable, UnescapesPaths)
{
    const auto e = only("1 0 0:1 / /a\\040b\\011c\\012d\\134e\\043 rw - tmpfs my\\040source rw");
    EXPECT_EQ(e.mount_point, "/a b\tc\nd\\e#");
    EXPECT_EQ(e.source, "my source");
    EXPECT_EQ(unescape_octal("\\"), "\\");
    EXPECT_EQ(unescape_octal("\\04"), "\\04");
    EXPECT_EQ(unescape_octal("\\400\\048"), "\\400\\048");
}

TEST(MountTable, NamesTheLineItCannotRead)
{
    for (const char* bad :
         {"nonsense",
          "x 0 0:1 / / rw - t s o",
          "1 0 01 / / rw - t s o",
          "1 0 0:1 / / rw t s o",
          "1 0 0:1 / / rw - t",
          "1 0 0:99999999999 / / rw - t s o",
          "1 0 0:1 / / rw shared:x - t s o"}) {
        const auto table = parse_mountinfo(std::string{"1 0 0:1 / / rw - rootfs none rw\n"} + bad + "\n");
        ASSERT_FALSE(table) << bad;
        EXPECT_NE(table.error().text().find("line 2"), std::string::npos) << table.error().text();
    }
}

TEST(MountTable, ReadsTheKernelsOwnTable)
{
    const auto table = read_mount_table();
    ASSERT_TRUE(table) << table.error().text();
    EXPECT_NE(find_top_mount(*table, "/proc"), nullptr);
    EXPECT_FALSE(read_mount_table("/nonexistent/mountinfo"));
}

TEST(MountTable, FindsTheUppermostOfAStack)
{
    const auto table =
        parse_mountinfo("1 0 0:1 / / rw - rootfs none rw\n2 1 0:2 / /m rw - ext4 a rw\n3 2 0:3 / /m rw - xfs b rw\n");
    ASSERT_TRUE(table);
    EXPECT_EQ(find_top_mount(*table, "/m")->fs_type, "xfs");
    EXPECT_EQ(find_top_mount(*table, "/n"), nullptr);
    EXPECT_EQ(find_mount(*table, 2)->fs_type, "ext4");
    EXPECT_EQ(find_mount(*table, 9), nullptr);
}

TEST(MountTable, PartsAnOverlaysLowerDirectories)
{
    const auto lower = [](const std::string& options) {
        return overlay_lower_dirs(only("1 0 0:1 / /m ro - overlay x " + options));
    };
    using Dirs = std::vector<std::string>;
    EXPECT_EQ(lower("ro,lowerdir=b:a,redirect_dir=on"), (Dirs{"b", "a"}));
    EXPECT_EQ(lower("ro,lowerdir+=/l/b,lowerdir+=/l/a:c"), (Dirs{"/l/b", "/l/a:c"}));
    EXPECT_EQ(
        lower("ro,lowerdir=/with\\134:colon:/with\\054comma\\040blank::/data"),
        (Dirs{"/with:colon", "/with,comma blank", "/data"})
    );
    EXPECT_EQ(lower("ro"), Dirs{});
    EXPECT_EQ(overlay_lower_dirs(only("1 0 0:1 / /m ro - tmpfs x lowerdir=a")), Dirs{});
}

} // namespace sluice::tools
