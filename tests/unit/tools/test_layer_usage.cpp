// SPDX-License-Identifier: Apache-2.0
#include "tools/layer_usage.hpp"

#include <gtest/gtest.h>

namespace sluice::tools {

namespace {

constexpr const char* kDir = "/run/sluice/layers";

MountTable table(std::string_view text)
{
    const auto parsed = parse_mountinfo(text);
    EXPECT_TRUE(parsed) << parsed.error().text();
    return *parsed;
}

/// "name+" for a layer in use, "name-" for an unused one.
std::vector<std::string> uses(const std::vector<MountTable>& tables)
{
    std::vector<std::string> out;
    for (const auto& layer : find_layers(kDir, tables)) {
        out.push_back(layer.name + (layer.used ? "+" : "-"));
    }
    return out;
}

using Uses = std::vector<std::string>;

const std::string kHost = "1 0 8:1 / / rw shared:1 - ext4 /dev/sda rw\n"
                          "2 1 0:5 / /run rw shared:2 - tmpfs tmpfs rw\n"
                          "10 2 0:40 / /run/sluice/layers/a ro shared:9 - erofs sluice ro\n";

} // namespace

TEST(LayerUsage, ALayerAloneIsUnused)
{
    EXPECT_EQ(uses({table(kHost)}), Uses{"a-"});
    EXPECT_EQ(uses({}), Uses{});
}

TEST(LayerUsage, ABindMountUsesItsLayer)
{
    EXPECT_EQ(uses({table(kHost + "11 1 0:40 / /srv/app ro - erofs sluice ro\n")}), Uses{"a+"});
    EXPECT_EQ(uses({table(kHost + "11 1 0:40 /sub /srv/app ro - erofs sluice ro\n")}), Uses{"a+"});
    EXPECT_EQ(uses({table(kHost + "11 1 0:41 / /srv/app ro - erofs sluice ro\n")}), Uses{"a-"});
}

TEST(LayerUsage, AnOverlayUsesItsLowerDirectoriesHoweverTheyAreNamed)
{
    for (const char* options :
         {"lowerdir=b:a",
          "lowerdir=/run/sluice/layers/b:/run/sluice/layers/a",
          "lowerdir+=/run/sluice/layers/a",
          "lowerdir=/host/run/layers/a/"}) {
        EXPECT_EQ(uses({table(kHost + "11 1 0:50 / /srv/app ro - overlay app ro," + options + "\n")}), Uses{"a+"})
            << options;
    }
    EXPECT_EQ(uses({table(kHost + "11 1 0:50 / /srv/app ro - overlay app ro,lowerdir=b:aa\n")}), Uses{"a-"});
}

TEST(LayerUsage, OnlyErofsDirectlyBelowTheDirectoryIsALayer)
{
    EXPECT_EQ(
        uses({table("1 0 8:1 / / rw - ext4 /dev/sda rw\n"
                    "2 1 0:41 / /run/sluice/layers rw - tmpfs x rw\n"
                    "3 1 0:42 / /run/sluice/layers/t rw - tmpfs x rw\n"
                    "4 1 0:43 / /run/sluice/layers/x/y ro - erofs x ro\n"
                    "5 1 0:44 / /run/sluice/layersX ro - erofs x ro\n")}),
        Uses{}
    );
}

TEST(LayerUsage, AMountInAnotherNamespaceIsAUse)
{
    const std::string other = "101 100 8:1 / / rw - ext4 /dev/sda rw\n"
                              "102 101 0:5 / /run rw - tmpfs tmpfs rw\n"
                              "110 102 0:40 / /run/sluice/layers/a ro - erofs sluice ro\n";
    EXPECT_EQ(uses({table(kHost), table(other)}), Uses{"a+"}) << "a private copy stays when ours goes";
}

TEST(LayerUsage, OurOwnMountSeenFromAChrootIsNone)
{
    EXPECT_EQ(uses({table(kHost), table("10 2 0:40 / /layers/a ro shared:9 - erofs sluice ro\n")}), Uses{"a-"});
}

TEST(LayerUsage, CopiesThatFollowOurUnmountAreNoUse)
{
    const std::string slave = "101 100 8:1 / / rw master:1 - ext4 /dev/sda rw\n"
                              "102 101 0:5 / /run rw shared:70 master:2 - tmpfs tmpfs rw\n"
                              "110 102 0:40 / /run/sluice/layers/a ro shared:71 master:9 - erofs sluice ro\n";
    const std::string slave_of_slave = "201 200 8:1 / / rw - ext4 /dev/sda rw\n"
                                       "202 201 0:5 /sluice /sl rw master:70 - tmpfs tmpfs rw\n"
                                       "210 202 0:40 / /sl/layers/a ro master:71 - erofs sluice ro\n";
    EXPECT_EQ(uses({table(kHost), table(slave)}), Uses{"a-"});
    EXPECT_EQ(uses({table(kHost), table(slave_of_slave), table(slave)}), Uses{"a-"});
    EXPECT_EQ(uses({table(kHost), table(slave_of_slave)}), Uses{"a+"}) << "nothing shows that group 70 follows group 2";
}

TEST(LayerUsage, AFollowingNamespacesMountElsewhereIsAUse)
{
    const std::string slave = "101 100 8:1 / / rw master:1 - ext4 /dev/sda rw\n"
                              "102 101 0:5 / /run rw master:2 - tmpfs tmpfs rw\n"
                              "110 102 0:40 / /run/sluice/layers/elsewhere ro - erofs sluice ro\n";
    EXPECT_EQ(uses({table(kHost), table(slave)}), Uses{"a+"});
}

TEST(LayerUsage, TakesPathsApart)
{
    EXPECT_EQ(layer_name(kDir, "/run/sluice/layers/a"), "a");
    EXPECT_EQ(layer_name(kDir, "/run/sluice/layers"), "");
    EXPECT_EQ(layer_name(kDir, "/run/sluice/layers/"), "");
    EXPECT_EQ(layer_name(kDir, "/run/sluice/layersx/a"), "");
    EXPECT_EQ(layer_name(kDir, "/run/sluice/layers/a/b"), "");
    EXPECT_EQ(last_component("a"), "a");
    EXPECT_EQ(last_component("/x/a//"), "a");
}

} // namespace sluice::tools
