// SPDX-License-Identifier: Apache-2.0
// How the whole daemon keeps the disk from filling up, on the fake kernel.
#include "tests/integration/daemon_world.hpp"

#include <algorithm>

namespace sluice::daemon {
namespace {

class RoomTest : public test::FdLeakTest {};

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

TEST_F(RoomTest, ABlobThatNobodyHasOpenMakesRoomAndIsFetchedAgainWhenItIsOpened)
{
    World world;
    const auto report = world.publish("good.key");
    const auto size = report.layers[0].erofs_size;
    world.config.quota = 2 * kMiB; // of an image of three
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    const auto cookie = world.cookie_of(report.layers[0]);
    const auto file = world.config.dir / protocol::cookie_path("erofs,sluice", cookie);
    const auto first = world.open(cookie);
    ASSERT_EQ(world.read(first, {0, size}), 0);
    EXPECT_TRUE(std::filesystem::exists(file)) << "somebody has it open, so it stays";
    EXPECT_EQ(world.daemon->counters().blobs_culled, 0U);

    world.kernel->close(first);
    ASSERT_TRUE(test::run_until(world.loop, [&] { return !std::filesystem::exists(file); }));
    const auto commands = world.kernel->commands();
    EXPECT_TRUE(std::ranges::find(commands, "cull D" + cookie) != commands.end()) << "the kernel has to do it";
    ASSERT_TRUE(test::run_until(world.loop, [&] { return world.daemon->counters().blobs_culled == 1; }));

    const auto again = world.open(cookie);
    ASSERT_EQ(world.kernel->state(again), test::FakeObjectState::kOpen);
    EXPECT_EQ(world.read(again, {0, size}), 0);
    EXPECT_EQ(
        slurp(world.kernel->backing_file(again)), slurp(world.published(report.layers[0].digest)).substr(0, size)
    );
}

TEST_F(RoomTest, WhenABlobWasUsedIsKnownAfterARestart)
{
    World world;
    const auto report = world.publish("good.key", {}, true);
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    for (const auto& layer : report.layers) {
        const auto object = world.open(World::cookie_of(layer));
        EXPECT_EQ(world.read(object, {0, kBlockSize}), 0);
    }
    world.stop();
    auto opened = cache::MetadataStore::open(world.config.dir / "sluice/sluice.db");
    ASSERT_TRUE(opened);
    const auto blobs = opened->store.blobs();
    ASSERT_TRUE(blobs && blobs->size() == 2);
    for (const auto& blob : *blobs) {
        EXPECT_GT(blob.last_access, cache::WallTime{});
    }
}

} // namespace
} // namespace sluice::daemon
