// SPDX-License-Identifier: Apache-2.0
// sluicectl export against a daemon in this process.
#include "tests/integration/library_world.hpp"
#include "tools/control_client.hpp"
#include "tools/export_command.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

namespace sluice::daemon {
namespace {

using ::testing::HasSubstr;

struct Exporting : Library {
    Exporting() { start(); }

    Result<std::vector<tools::ExportedFile>>
    export_to(const std::filesystem::path& to, std::optional<unsigned> layer = {})
    {
        return away([&] {
            tools::ControlClient control{config.control_socket};
            const tools::ExportRequest request{reference(), to, layer, {}, config.control_socket};
            return tools::run_export(control, request);
        });
    }

    std::filesystem::path target = dir.path() / "out.erofs";
    std::filesystem::path part = dir.path() / "out.erofs.part";
};

class ExportTest : public test::FdLeakTest {};

TEST_F(ExportTest, AnImageThatWasNotRegisteredIsRegisteredAndWrittenWhole)
{
    Exporting world;
    const auto files = world.export_to(world.target);
    ASSERT_TRUE(files) << files.error().text();
    EXPECT_EQ(slurp(world.target), world.content);
    EXPECT_FALSE(std::filesystem::exists(world.part));
    ASSERT_EQ(files->size(), 1U);
    EXPECT_EQ(files->front().blob.digest, world.digest.to_string());
    EXPECT_EQ(files->front().blob.size, world.size);
    EXPECT_EQ(files->front().blob.reused, 0U);
    const auto json = tools::to_json({world.reference(), world.target, {}, {}, {}}, *files);
    EXPECT_EQ(json["files"][0]["size"], world.size);
    EXPECT_EQ(world.ask("GET", "/v1/status").second["library"]["opens"], 3); // there is neither device 1 nor layer 1
}

TEST_F(ExportTest, AnInterruptedOneGoesOnAndBelievesNothing)
{
    Exporting world;
    auto old = world.content.substr(0, 2'500'000);    // cut short,
    old[1'200'000] ^= 1;                              // with a wrong byte,
    std::fill(old.begin(), old.begin() + 4096, '\0'); // and a block that a crash has lost
    (void)world.dir.write("out.erofs.part", old);
    const auto files = world.export_to(world.target);
    ASSERT_TRUE(files) << files.error().text();
    EXPECT_EQ(slurp(world.target), world.content);
    EXPECT_LT(files->front().blob.reused, 2'500'000U);
}

TEST_F(ExportTest, APartFileWithAnotherNameOrAnotherOwnerIsLeftAlone)
{
    Exporting world;
    (void)world.dir.write("elsewhere", "x");
    std::filesystem::create_hard_link(world.dir.path() / "elsewhere", world.part);
    auto files = world.export_to(world.target);
    ASSERT_FALSE(files);
    EXPECT_THAT(files.error().text(), HasSubstr("out.erofs.part: it has 2 names"));
    EXPECT_EQ(slurp(world.dir.path() / "elsewhere"), "x");

    std::filesystem::remove(world.dir.path() / "elsewhere");
    if (::geteuid() != 0) {
        return; // only root can give files away
    }
    ASSERT_EQ(::chown(world.part.c_str(), 12345, 0), 0);
    files = world.export_to(world.target);
    ASSERT_FALSE(files);
    EXPECT_THAT(files.error().text(), HasSubstr("belongs to user 12345"));
    EXPECT_EQ(slurp(world.part), "x");
    EXPECT_FALSE(std::filesystem::exists(world.target));
}

TEST_F(ExportTest, ASecondTimeFetchesNothing)
{
    Exporting world;
    ASSERT_TRUE(world.export_to(world.target));
    const auto fetched = world.daemon->counters().bytes_fetched;
    std::filesystem::rename(world.target, world.part);
    const auto files = world.export_to(world.target);
    ASSERT_TRUE(files);
    EXPECT_EQ(files->front().blob.reused, world.size);
    EXPECT_EQ(world.daemon->counters().bytes_fetched, fetched);
    EXPECT_EQ(slurp(world.target), world.content);
}

TEST_F(ExportTest, WhatCannotBeProvedIsNotExportedAndTheReasonIsTold)
{
    Exporting world;
    ASSERT_EQ(world.add_image().first, 200);
    {
        std::fstream blob{world.published(world.digest), std::ios::in | std::ios::out | std::ios::binary};
        blob.seekp(1'000'000);
        blob.put('!');
    }
    const auto files = world.export_to(world.target);
    ASSERT_FALSE(files);
    EXPECT_THAT(files.error().text(), HasSubstr("does not match the signed hash tree"));
    EXPECT_FALSE(std::filesystem::exists(world.target));
    EXPECT_TRUE(std::filesystem::exists(world.part));
}

TEST_F(ExportTest, SeveralBlobsGoIntoADirectoryAndOneLayerIntoAFile)
{
    Exporting world;
    const auto two = world.publish("good.key", {}, true);
    ASSERT_EQ(two.layers.size(), 2U);
    const auto refused = world.export_to(world.target);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().text(), HasSubstr("2 blobs"));
    ASSERT_TRUE(world.export_to(world.target, 1));
    std::filesystem::create_directory(world.dir.path() / "out");
    const auto files = world.export_to(world.dir.path() / "out");
    ASSERT_TRUE(files) << files.error().text();
    for (std::size_t i = 0; i < 2; ++i) {
        const auto whole = slurp(world.published(two.layers[i].digest)).substr(0, two.layers[i].erofs_size);
        EXPECT_EQ(slurp(world.dir.path() / "out" / fmt::format("layer-{}.erofs", i)), whole);
    }
    EXPECT_EQ(slurp(world.target), slurp(world.dir.path() / "out/layer-1.erofs"));
    const auto none = world.export_to(world.target, 2);
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().text(), HasSubstr("no layer 2"));
}

} // namespace
} // namespace sluice::daemon
