// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/blobs.hpp"
#include "daemon/blob/cache_sweep.hpp"
#include "daemon/blob/tree_budget.hpp"
#include "protocol/cookie_path.hpp"
#include "protocol/prepopulate.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/only.hpp"
#include "tests/support/temp_dir.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <latch>
#include <sys/xattr.h>
#include <utility>

namespace sluice::daemon {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVolume = "erofs,sluice";

/// The one worker does nothing until it is told to.
class HeldWorker {
public:
    explicit HeldWorker(WorkerPool& workers)
    {
        workers.submit([go = go_] { go->wait(); });
    }

    HeldWorker(const HeldWorker&) = delete;
    HeldWorker& operator=(const HeldWorker&) = delete;

    ~HeldWorker() { release(); }

    void release()
    {
        if (!go_->try_wait()) {
            go_->count_down();
        }
    }

private:
    std::shared_ptr<std::latch> go_ = std::make_shared<std::latch>(1);
};

class CacheSweepTest : public test::FdLeakTest {
protected:
    struct World {
        EventLoop loop;
        test::TempDir dir;
        WorkerPool workers{1};
        CacheSweep sweep{loop, workers, protocol::Hygiene{dir.path(), dir.path() / "private"}};
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

    [[nodiscard]] fs::path place(const std::string& cookie) const
    {
        return world_->dir.path() / protocol::cookie_path(kVolume, cookie);
    }

    /// A cached blob of two blocks, of which a crash has kept the second from being written.
    fs::path make(const std::string& cookie) const
    {
        protocol::Prepopulation::Target target{
            world_->dir.path(), world_->dir.path() / "private", kVolume, cookie, 2 * kBlockSize};
        auto file = protocol::Prepopulation::begin(std::move(target));
        auto data = AlignedBuffer::allocate(kBlockSize);
        data.set_size(kBlockSize);
        EXPECT_TRUE(file && file->file()->write(0, data.bytes()));
        EXPECT_EQ(::fallocate(file->file()->fd(), 0, kBlockSize, kBlockSize), 0);
        EXPECT_TRUE(file->commit());
        return place(cookie);
    }

    [[nodiscard]] static bool has_unwritten(const fs::path& file) { return fs_blocks(file) > kBlockSize; }

    [[nodiscard]] static std::uint64_t fs_blocks(const fs::path& file)
    {
        struct stat about = {};
        EXPECT_EQ(::stat(file.c_str(), &about), 0) << file;
        return static_cast<std::uint64_t>(about.st_blocks) * 512;
    }

    /// Nothing can put this in order: it looks like a cached blob, and is a directory.
    fs::path make_unsound(const std::string& cookie) const
    {
        const auto path = place(cookie);
        fs::create_directories(path);
        const auto value = protocol::encode_file_xattr(kBlockSize);
        EXPECT_EQ(::setxattr(path.c_str(), protocol::kCacheXattr, value.data(), value.size(), 0), 0);
        return path;
    }

    Result<void> look(const fs::path& file) const
    {
        const auto outcome = test::run_task(world_->loop, world_->sweep.look(file));
        return outcome ? *outcome : fail(ErrorKind::kInternal, "did not end");
    }

    void sweep_all() const
    {
        world_->sweep.start();
        EXPECT_TRUE(test::run_until(world_->loop, [&] { return world_->sweep.is_all_sound(); }));
    }

    /// Until the one worker has done all that it was given; the loop stands still meanwhile.
    void wait_for_worker() const
    {
        std::latch done{1};
        world_->workers.submit([&done] { done.count_down(); }, Urgency::kBackground);
        done.wait();
    }

    std::unique_ptr<World> world_;
};

TEST_F(CacheSweepTest, LooksAtEveryFileOnWorkers)
{
    std::vector<fs::path> files;
    for (int i = 0; i < 20; ++i) {
        files.push_back(make(fmt::format("blob{}", i)));
        EXPECT_TRUE(has_unwritten(files.back()));
    }
    const auto without_attribute = world_->dir.write(fs::relative(files[3], world_->dir.path()).string() + "x", "x");
    HeldWorker worker{world_->workers};
    world_->sweep.start();
    EXPECT_FALSE(world_->sweep.is_all_sound());
    EXPECT_TRUE(has_unwritten(files[0])) << "which only a worker may look at";
    worker.release();
    EXPECT_TRUE(test::run_until(world_->loop, [&] { return world_->sweep.is_all_sound(); }));
    for (const auto& file : files) {
        EXPECT_FALSE(has_unwritten(file)) << file;
        EXPECT_TRUE(world_->sweep.is_sound(file));
    }
    EXPECT_FALSE(fs::exists(without_attribute));
    EXPECT_EQ(world_->sweep.looked(), 21U);
}

TEST_F(CacheSweepTest, WhoOpensAFileHasItLookedAtBeforeAllOthers)
{
    std::vector<fs::path> files;
    for (int i = 0; i < 100; ++i) {
        files.push_back(make(fmt::format("blob{}", i)));
    }
    HeldWorker worker{world_->workers};
    world_->sweep.start();
    std::optional<Result<void>> looked;
    TaskScope tasks{world_->loop};

    struct Collect {
        static Task<void> into(std::optional<Result<void>>& out, Task<Result<void>> task)
        {
            auto outcome = co_await task;
            out = std::move(outcome);
        }
    };

    tasks.spawn(Collect::into(looked, world_->sweep.look(files[77])));
    EXPECT_FALSE(world_->sweep.is_sound(files[77])) << "it is only being looked at";
    worker.release();
    ASSERT_TRUE(test::run_until(world_->loop, [&] { return looked.has_value(); }));
    EXPECT_TRUE(*looked);
    EXPECT_FALSE(has_unwritten(files[77]));
    EXPECT_FALSE(world_->sweep.is_all_sound());
    EXPECT_LT(world_->sweep.looked(), 50U) << "of a hundred";
}

TEST_F(CacheSweepTest, AFileThatSomebodyHasOpenedIsNotLookedAtAgain)
{
    const auto file = make("blob");
    ASSERT_TRUE(look(file));
    const UniqueFd fd{kAdoptFd, ::open(file.c_str(), O_RDWR | O_CLOEXEC)};
    ASSERT_EQ(::fallocate(fd.get(), 0, kBlockSize, kBlockSize), 0); // a write that is under way
    ASSERT_TRUE(look(file));
    sweep_all();
    EXPECT_TRUE(has_unwritten(file)) << "what is punched now may be data";
    EXPECT_EQ(world_->sweep.looked(), 1U);
}

TEST_F(CacheSweepTest, HoweverFarTheSweepIsAFileThatIsAskedForIsLookedAtOnce)
{
    constexpr int kMoments = 16; // more than there are until the sweep is over
    bool was_over = false;
    for (int moment = 0; moment < kMoments; ++moment) {
        world_ = std::make_unique<World>();
        const auto file = make("blob");
        world_->sweep.start();
        wait_for_worker();
        for (int turn = 0; turn < moment; ++turn) {
            bool turned = false;
            ASSERT_TRUE(test::run_until(world_->loop, [&] { return std::exchange(turned, true); }));
            wait_for_worker();
        }
        was_over = world_->sweep.is_all_sound();
        EXPECT_TRUE(look(file));
        EXPECT_TRUE(test::run_until(world_->loop, [&] { return world_->sweep.is_all_sound(); }));
        EXPECT_EQ(world_->sweep.looked(), 1U) << "asked for after " << moment << " turns of the loop";
        EXPECT_FALSE(has_unwritten(file));
    }
    EXPECT_TRUE(was_over) << "the last moments have not been tried";
}

TEST_F(CacheSweepTest, AFileThatCouldNotBePutInOrderIsTriedAgainWhenItIsOpened)
{
    const auto file = make_unsound("blob");
    const auto sound = make("other");
    world_->sweep.start();
    ASSERT_TRUE(test::run_until(world_->loop, [&] { return world_->sweep.looked() == 2; }));
    ASSERT_TRUE(look(sound));
    const auto refused = look(file);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text().find(file.string()), std::string::npos) << refused.error().text();
    EXPECT_FALSE(world_->sweep.is_sound(file));
    EXPECT_FALSE(world_->sweep.is_all_sound()) << "so the stop will not be noted as clean";
    fs::remove(file);
    (void)make("blob");
    EXPECT_TRUE(look(file));
    EXPECT_FALSE(has_unwritten(file));
    EXPECT_TRUE(test::run_until(world_->loop, [&] { return world_->sweep.is_all_sound(); }));
}

TEST_F(CacheSweepTest, ThingsThatAreNotThereAreInOrder)
{
    EXPECT_TRUE(look(place("none")));
    sweep_all();
    EXPECT_EQ(world_->sweep.looked(), 1U);
}

TEST_F(CacheSweepTest, ABlobIsOpenedOnlyBehindTheLookAtItsFile)
{
    auto& [loop, dir, workers, sweep] = *world_;
    const test::FakeBlob content{2};
    const auto file = make(cookie_of(content.info));
    BufferPool buffers{1 << 20, 64 * 1024};
    test::FakeSource source{loop, buffers};
    Counters counters;
    TreeBudget budget{16U << 20};
    fetcher::MirrorSet mirrors{loop, test::only(source)};
    FilePlace at{dir.path(), dir.path() / "private", kVolume};
    FillServices services{loop, workers, mirrors, nullptr, counters, budget, nullptr, std::move(at), &sweep};
    FillPolicy policy;
    Blobs blobs{services, policy};
    const auto blob = blobs.use(content.info).value();
    const auto opened = test::run_task(loop, blob->open_file());
    ASSERT_TRUE(opened && *opened);
    EXPECT_FALSE(has_unwritten(file));
    EXPECT_TRUE(sweep.is_sound(file));

    // For a file that cannot be looked at in time there is an error, not a wait without end.
    auto other = content.info;
    other.root = Digest{};
    policy.read_deadline = milliseconds{1};
    const auto late = blobs.use(other).value();
    HeldWorker worker{workers};
    const auto waited = test::run_task(loop, late->look_at_file());
    ASSERT_TRUE(waited);
    EXPECT_EQ(waited->error().kind(), ErrorKind::kTimeout);
}

} // namespace
} // namespace sluice::daemon
