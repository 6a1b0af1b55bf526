// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.hpp"
#include "daemon/blob/blobs.hpp"
#include "daemon/blob/culler.hpp"
#include "daemon/blob/tree_budget.hpp"
#include "protocol/file_removal.hpp"
#include "protocol/prepopulate.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/only.hpp"
#include "tests/support/temp_dir.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <gmock/gmock.h>
#include <latch>
#include <map>

namespace sluice::daemon {
namespace {

namespace fs = std::filesystem;
using protocol::Space;
using protocol::SpaceLevel;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr const char* kVolume = "erofs,sluice";

Digest blob(unsigned char number)
{
    Digest::Bytes bytes{};
    bytes[0] = std::byte{number};
    return Digest{bytes};
}

cache::WallTime at(int second)
{
    return cache::WallTime{std::chrono::seconds{second}};
}

Space::Figures figures(SpaceLevel level, std::uint64_t bytes, std::uint64_t files)
{
    Space::Figures figures;
    figures.level = level;
    figures.bytes_to_run = bytes;
    figures.files_to_run = files;
    return figures;
}

TEST(RoomNeededTest, NothingIsRemovedBeforeALimitIsPassedAndThenUntilTheNextOneIsReached)
{
    const auto needed = [](const std::optional<Space::Figures>& space, std::uint64_t kept, std::uint64_t quota) {
        const auto found = room_needed(space, kept, quota);
        return std::pair{found.bytes, found.files};
    };
    EXPECT_EQ(needed(figures(SpaceLevel::kAmple, 0, 0), 1000, 0), std::pair(0UL, 0UL));
    EXPECT_EQ(needed(figures(SpaceLevel::kBelowRun, 10, 3), 1000, 0), std::pair(0UL, 0UL));
    EXPECT_EQ(needed(figures(SpaceLevel::kBelowCull, 10, 3), 1000, 0), std::pair(10UL, 3UL));
    EXPECT_EQ(needed(std::nullopt, 800, 800), std::pair(0UL, 0UL));
    EXPECT_EQ(needed(std::nullopt, 900, 800), std::pair(200UL, 0UL)); // to seven eighths
    EXPECT_EQ(needed(figures(SpaceLevel::kBelowCull, 10, 3), 900, 800), std::pair(200UL, 3UL));
}

class CullerTest : public test::FdLeakTest {
protected:
    struct World {
        World() { space = std::make_shared<Space>(dir.path().string(), CacheLimits{}, look()); }

        /// 1000 MiB and 1000 files, of which as much is free as the members say.
        [[nodiscard]] Space::Look look()
        {
            return [this](const std::string&, struct statvfs& into) {
                into.f_frsize = kMiB;
                into.f_blocks = 1000;
                into.f_bavail = free_mib;
                into.f_files = 1000;
                into.f_ffree = 1000;
                return 0;
            };
        }

        Culler& make_culler(std::uint64_t quota = 0)
        {
            culler = std::make_unique<Culler>(Culler::Parts{
                loop,
                workers,
                index,
                removals,
                *space,
                &trees,
                counters,
                files,
                quota,
                last_uses,
                [this](const fs::path& file) { return remove(file); }});
            return *culler;
        }

        Result<void> remove(const fs::path& file)
        {
            if (on_remove) {
                on_remove(file);
            }
            if (busy == file) {
                return fail(ErrorKind::kTransient, "in use", EBUSY);
            }
            free_mib += mib_of_a_file;
            return protocol::remove_file(file);
        }

        /// A cached blob of `blocks` blocks of data.
        fs::path add(const Digest& identity, std::uint64_t blocks = 4) const
        {
            protocol::Prepopulation::Target target{
                place.cache_dir, place.private_dir, place.volume, identity.hex(), blocks * kBlockSize};
            auto made = protocol::Prepopulation::begin(std::move(target));
            auto data = AlignedBuffer::allocate(blocks * kBlockSize);
            data.set_size(blocks * kBlockSize);
            EXPECT_TRUE(made && made->file()->write(0, data.bytes()) && made->commit());
            return files.data_of(identity);
        }

        Culler::Report cull(Culler::Request request)
        {
            const auto report = test::run_task(loop, culler->cull(std::move(request)));
            EXPECT_TRUE(report && *report);
            return report && *report ? **report : Culler::Report{};
        }

        EventLoop loop;
        test::TempDir dir;
        WorkerPool workers{2};
        FilePlace place{dir.path(), dir.path() / "own/prefill", kVolume};
        std::map<Digest, KeepClass> keep;
        std::map<Digest, cache::WallTime> last_uses;
        CacheIndex index{[this](const Digest& identity) {
            const auto found = keep.find(identity);
            return found == keep.end() ? KeepClass::kRegistered : found->second;
        }};
        Removals removals{loop};
        Counters counters;
        fs::path trees_dir = dir.path() / "own/trees";
        bool has_trees = fs::create_directories(trees_dir);
        cache::TreeStore trees{trees_dir};
        CacheFiles files{place, dir.path() / "own", trees_dir};
        std::atomic<std::uint64_t> free_mib = 500;
        std::uint64_t mib_of_a_file = 20;
        fs::path busy;
        std::function<void(const fs::path&)> on_remove;
        std::shared_ptr<Space> space;
        std::unique_ptr<Culler> culler;
    };

    void SetUp() override
    {
        FdLeakTest::SetUp();
        world_ = std::make_unique<World>();
    }

    void TearDown() override
    {
        world_.reset();
        FdLeakTest::TearDown();
    }

    std::unique_ptr<World> world_;
};

TEST_F(CullerTest, BelowTheLimitItRemovesTheLeastRecentlyUsedUntilThereIsEnough)
{
    auto& world = *world_;
    world.free_mib = 40; // below bcull, 5 %; brun is 7 %
    world.last_uses = {{blob(1), at(30)}, {blob(2), at(10)}, {blob(3), at(20)}};
    const auto first = world.add(blob(1), 8000);
    const auto second = world.add(blob(2), 8000); // 31 MiB each: one is enough
    const auto third = world.add(blob(3), 8000);
    world.make_culler().start();
    ASSERT_TRUE(test::run_until(world.loop, [&] { return world.counters.blobs_culled > 0; }));
    EXPECT_TRUE(fs::exists(first));
    EXPECT_FALSE(fs::exists(second));
    EXPECT_TRUE(fs::exists(third));
    EXPECT_EQ(world.counters.blobs_culled, 1U);
    EXPECT_GE(world.counters.bytes_culled, 8000 * kBlockSize);
}

TEST_F(CullerTest, AWriterThatSeesThePassedLimitHasItLookAtOnce)
{
    auto& world = *world_;
    const auto file = world.add(blob(1));
    world.make_culler().start();
    EXPECT_EQ(world.cull({}).files, 0U); // and by now all that is there is known
    world.free_mib = 40;
    world.workers.submit([&] { (void)world.space->admit(32 * kMiB); });
    EXPECT_TRUE(test::run_until(world.loop, [&] { return !fs::exists(file); }));
}

TEST_F(CullerTest, AboveTheQuotaItRemovesDownToSevenEighths)
{
    auto& world = *world_;
    for (unsigned char number = 1; number <= 9; ++number) {
        world.last_uses.emplace(blob(number), at(number));
        (void)world.add(blob(number), 256); // 1 MiB
    }
    world.make_culler(8 * kMiB).start();
    ASSERT_TRUE(test::run_until(world.loop, [&] { return world.counters.blobs_culled >= 2; }));
    const auto rest = world.cull({});
    EXPECT_EQ(rest.files, 0U) << "there is nothing left to do";
    EXPECT_LE(rest.kept, 7 * kMiB + kMiB / 2);
    EXPECT_GE(rest.kept, 6 * kMiB);
    EXPECT_FALSE(fs::exists(world.files.data_of(blob(1))));
    EXPECT_FALSE(fs::exists(world.files.data_of(blob(2))));
    EXPECT_TRUE(fs::exists(world.files.data_of(blob(9))));
}

TEST_F(CullerTest, HashTreesGoWithTheirBlobsAndFilesOfOthersStay)
{
    auto& world = *world_;
    const auto file = world.add(blob(1));
    const auto stranger = world.dir.write(fs::relative(file, world.dir.path()).parent_path() / "Dstranger", "mine");
    const std::vector<std::byte> nodes(kBlockSize);
    ASSERT_TRUE(world.trees.write(blob(1), 0, nodes));
    world.make_culler();
    const auto report = world.cull({.keep_at_most = 0});
    EXPECT_EQ(report.files, 1U);
    EXPECT_FALSE(fs::exists(file));
    EXPECT_FALSE(fs::exists(world.trees_dir / blob(1).hex()));
    EXPECT_TRUE(fs::exists(stranger));
}

TEST_F(CullerTest, WhatIsInUseOrPinnedStays)
{
    auto& world = *world_;
    const auto used = world.add(blob(1));
    const auto pinned = world.add(blob(2));
    world.keep.emplace(blob(2), KeepClass::kPinned);
    world.index.begin_use(blob(1));
    world.make_culler();
    EXPECT_EQ(world.cull({.keep_at_most = 0}).files, 0U);
    EXPECT_TRUE(fs::exists(used));
    EXPECT_TRUE(fs::exists(pinned));
    const auto made = test::run_task(world.loop, world.culler->make_room());
    ASSERT_TRUE(made && !*made);
    EXPECT_THAT(made->error().text(), HasSubstr("nothing can be removed"));
    world.index.end_use(blob(1), at(1));
    EXPECT_EQ(world.cull({.keep_at_most = 0}).files, 1U);
    EXPECT_FALSE(fs::exists(used));
}

TEST_F(CullerTest, WhatTheKernelHasInUseStaysAndTheOthersGo)
{
    auto& world = *world_;
    world.last_uses = {{blob(1), at(1)}, {blob(2), at(2)}};
    world.busy = world.add(blob(1));
    const auto other = world.add(blob(2));
    world.make_culler();
    const auto report = world.cull({.keep_at_most = 0});
    EXPECT_EQ(report.files, 1U);
    EXPECT_EQ(report.busy, 1U);
    EXPECT_TRUE(fs::exists(world.busy));
    EXPECT_FALSE(fs::exists(other));
}

TEST_F(CullerTest, ADryRunTellsWhatWouldGoAndRemovesNothing)
{
    auto& world = *world_;
    const auto file = world.add(blob(1));
    world.make_culler();
    const auto report = world.cull({.keep_at_most = 0, .only = {}, .dry_run = true});
    EXPECT_EQ(report.files, 1U);
    EXPECT_GE(report.bytes, 4 * kBlockSize);
    EXPECT_TRUE(fs::exists(file));
}

TEST_F(CullerTest, WhoeverOpensABlobThatIsBeingRemovedWaitsAndBeginsWithAnEmptyFile)
{
    auto& world = *world_;
    const test::FakeBlob content{8};
    const auto identity = identity_of(content.info);
    const auto file = world.add(identity, 8); // as if all of it were there
    std::latch go_on{1};
    std::atomic<bool> has_begun = false;
    world.on_remove = [&](const fs::path&) {
        has_begun = true;
        go_on.wait();
    };
    BufferPool buffers{1 << 20, 64 * 1024};
    test::FakeSource source{world.loop, buffers};
    TreeBudget budget{16U << 20};
    fetcher::MirrorSet mirrors{world.loop, test::only(source)};
    FillServices services{
        world.loop, world.workers, mirrors, nullptr, world.counters, budget, world.space, world.place};
    services.removals = &world.removals;
    const FillPolicy policy;
    Blobs blobs{services, policy};
    auto& culler = world.make_culler();
    TaskScope scope{world.loop};

    struct Cull {
        static Task<void> all(Culler& by, bool& ended)
        {
            Culler::Request request;
            request.keep_at_most = 0;
            auto culling = by.cull(std::move(request));
            (void)co_await culling;
            ended = true;
        }

        static Task<void> open(std::shared_ptr<Blob> blob, std::optional<std::uint64_t>& present)
        {
            const auto opened = co_await blob->open_file();
            EXPECT_TRUE(opened);
            const auto stored = co_await blob->stored_bytes();
            present = stored.value_or(1);
        }
    };

    bool has_ended = false;
    std::optional<std::uint64_t> present;
    scope.spawn(Cull::all(culler, has_ended));
    ASSERT_TRUE(test::run_until(world.loop, [&] { return has_begun.load(); }));
    scope.spawn(Cull::open(blobs.use(content.info).value(), present));
    EXPECT_TRUE(world.removals.contains(identity));
    EXPECT_FALSE(present);
    go_on.count_down();
    ASSERT_TRUE(test::run_until(world.loop, [&] { return present && has_ended; }));
    EXPECT_EQ(*present, 0U);
    EXPECT_TRUE(fs::exists(file));
}

TEST_F(CullerTest, AReadThatFindsTheDiskFullHasRoomMadeAndIsServed)
{
    auto& world = *world_;
    const auto old = world.add(blob(1));
    world.free_mib = 5; // below bstop
    const test::FakeBlob content{8};
    BufferPool buffers{1 << 20, 64 * 1024};
    test::FakeSource source{world.loop, buffers};
    source.add(content);
    TreeBudget budget{16U << 20};
    fetcher::MirrorSet mirrors{world.loop, test::only(source)};
    FillServices services{
        world.loop, world.workers, mirrors, nullptr, world.counters, budget, world.space, world.place};
    services.removals = &world.removals;
    services.culler = &world.make_culler();
    const FillPolicy policy;
    Blobs blobs{services, policy};
    blobs.on_use = [&](const Digest& identity) { world.index.begin_use(identity); };
    blobs.on_end = [&](const Blob& ended) { world.index.end_use(ended.identity(), at(1)); };
    {
        const auto blob = blobs.use(content.info).value();
        const auto bytes = test::run_task(world.loop, blob->proved_bytes({0, 8 * kBlockSize}));
        ASSERT_TRUE(bytes && *bytes) << (bytes ? bytes->error().text() : "");
        EXPECT_FALSE(fs::exists(old));
    }
    // With nothing left that could go, the reader is told.
    world.free_mib = 5;
    (void)world.space->look();
    const test::FakeBlob other{9};
    source.add(other);
    const auto second = blobs.use(other.info).value();
    world.index.begin_use(identity_of(content.info)); // somebody has it open
    const auto failed = test::run_task(world.loop, second->proved_bytes({0, kBlockSize}));
    ASSERT_TRUE(failed && !*failed);
    EXPECT_EQ(failed->error().code(), ENOSPC);
    EXPECT_TRUE(fs::exists(world.files.data_of(identity_of(content.info))));
}

} // namespace
} // namespace sluice::daemon
