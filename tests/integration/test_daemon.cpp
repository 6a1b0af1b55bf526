// SPDX-License-Identifier: Apache-2.0
// The whole daemon natively: images really published (mkfs.erofs, signed) into an image layout, a control socket really
// spoken to, and the fake kernel in the place of /dev/cachefiles.
#include "tests/integration/daemon_world.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <thread>

namespace sluice::daemon {
namespace {

using ::testing::HasSubstr;

class DaemonTest : public test::FdLeakTest {};

std::string last_note(const World& world)
{
    return cache::CacheDir::open(world.config.dir)->last_note();
}

TEST_F(DaemonTest, AnImageIsRegisteredOpenedAndRead)
{
    World world;
    const auto report = world.publish("good.key");
    world.start();
    const auto [status, image] = world.add_image();
    ASSERT_EQ(status, 200) << image.dump();
    const auto& layer = image["layers"][0];
    EXPECT_EQ(image["manifest_digest"], report.manifest.to_string());
    EXPECT_EQ(layer["fsid"], world.cookie_of(report.layers[0]));
    EXPECT_EQ(layer["compressed"], false);

    const auto object = world.open(layer["fsid"]);
    ASSERT_EQ(world.kernel->state(object), test::FakeObjectState::kOpen);
    const auto size = report.layers[0].erofs_size;
    EXPECT_EQ(world.kernel->size(object), size);
    EXPECT_EQ(world.read(object, {0, size}), 0);
    EXPECT_EQ(
        slurp(world.kernel->backing_file(object)), slurp(world.published(report.layers[0].digest)).substr(0, size)
    );
    const auto blobs = world.ask("GET", "/v1/blobs").second["blobs"];
    EXPECT_EQ(blobs[0]["present"], size);
    EXPECT_EQ(blobs[0]["complete"], true);
    EXPECT_EQ(world.ask("GET", "/v1/status").second["counters"]["bytes_fetched"], size);
}

TEST_F(DaemonTest, WhatWasRegisteredSurvivesARestartAndTheLossOfItsSource)
{
    World world;
    const auto report = world.publish("good.key");
    const auto size = report.layers[0].erofs_size;
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    const auto cookie = world.cookie_of(report.layers[0]);
    EXPECT_EQ(world.read(world.open(cookie), {0, size}), 0);
    world.stop();

    std::filesystem::rename(world.dir.path() / "layout", world.dir.path() / "away");
    world.start();
    EXPECT_EQ(world.ask("GET", "/v1/images").second["images"][0]["reference"], world.reference());
    EXPECT_EQ(world.add_image().first, 200); // known: no source is asked
    const auto object = world.open(cookie);
    EXPECT_EQ(world.kernel->state(object), test::FakeObjectState::kOpen);
    EXPECT_EQ(world.read(object, {0, size}), 0); // the kernel finds the backing file again
    EXPECT_EQ(world.daemon->counters().bytes_fetched, 0U);
}

TEST_F(DaemonTest, AnImageOfAKeyThatNobodyTrustsIsRefusedWithTheReason)
{
    World world;
    const auto report = world.publish("other.key");
    world.start();
    const auto [status, answer] = world.add_image();
    EXPECT_EQ(status, 403);
    const auto message = answer["error"]["message"].get<std::string>();
    EXPECT_THAT(message, AllOf(HasSubstr(".sig"), HasSubstr("good")));
    EXPECT_EQ(message.find(world.reference()), message.rfind(world.reference())) << "it is named once: " << message;
    EXPECT_THAT(message, HasSubstr(world.reference()));
    const auto object = world.open(world.cookie_of(report.layers[0]));
    EXPECT_EQ(world.kernel->state(object), test::FakeObjectState::kFailed);
}

TEST_F(DaemonTest, AKeyThatIsNoLongerTrustedTakesItsImagesAway)
{
    World world;
    const auto report = world.publish("good.key");
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    world.stop();
    world.config.trusted_keys = {{world.dir.path() / "other.pub", {}}};
    world.start();
    const auto object = world.open(world.cookie_of(report.layers[0]));
    EXPECT_EQ(world.kernel->state(object), test::FakeObjectState::kFailed);
    EXPECT_EQ(world.add_image().first, 403);
}

TEST_F(DaemonTest, ABlobThatNobodyRegisteredIsNotOpened)
{
    World world;
    world.start();
    const auto object = world.open(std::string(64, 'a'));
    EXPECT_EQ(world.kernel->state(object), test::FakeObjectState::kFailed);
    EXPECT_EQ(world.kernel->open_error(object), ENOENT);
}

TEST_F(DaemonTest, ATamperedBlobIsNotMountedOrNotRead)
{
    World world;
    const auto report = world.publish("good.key");
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    {
        std::fstream blob{world.published(report.layers[0].digest), std::ios::in | std::ios::out | std::ios::binary};
        blob.seekp(1'000'000);
        blob.put('!');
    }
    const auto object = world.open(world.cookie_of(report.layers[0]));
    EXPECT_EQ(world.read(object, {999'424, 1'003'520}), EIO);
    EXPECT_EQ(world.read(object, {4096, 8192}), 0);
    const auto message = world.ask("GET", "/v1/blobs").second["blobs"][0]["last_error"]["message"].get<std::string>();
    EXPECT_THAT(message, HasSubstr("does not match the signed hash tree"));
}

TEST_F(DaemonTest, ASlowDiskKeepsWorkersBusyAndNeverTheLoop)
{
    World world;
    const auto report = world.publish("good.key");
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    const auto object = world.open(world.cookie_of(report.layers[0]));
    const auto before = world.loop.stalls();
    std::atomic<unsigned> slow = 0;
    world.kernel->on_pwrite([&slow](std::uint64_t, std::size_t) {
        ++slow;
        std::this_thread::sleep_for(milliseconds{300}); // far beyond what counts as a stall
        return std::int64_t{0};
    });
    EXPECT_EQ(world.read(object, {1'000'000 / kBlockSize * kBlockSize, 2'000'000 / kBlockSize * kBlockSize}), 0);
    EXPECT_EQ(world.ask("GET", "/v1/status").first, 200);
    EXPECT_GT(slow, 0U);
    EXPECT_EQ(world.loop.stalls(), before) << world.loop.stall_watch().last();
    world.kernel->on_pwrite(nullptr);
}

TEST_F(DaemonTest, CompressedImagesAreCompleteBeforeTheyAreMountedOrRefused)
{
    World world;
    const auto report = world.publish("good.key", "lz4hc");
    world.start();
    const auto [refused, why] =
        world.ask("POST", "/v1/images", Json{{"reference", world.reference()}, {"lazy_only", true}}.dump());
    EXPECT_EQ(refused, 501);
    EXPECT_THAT(why["error"]["message"].get<std::string>(), HasSubstr("compressed"));

    const auto [status, image] = world.add_image();
    ASSERT_EQ(status, 200) << image.dump();
    EXPECT_EQ(image["layers"][0]["compressed"], true);
    EXPECT_EQ(world.ask("GET", "/v1/blobs").second["blobs"][0]["complete"], true);
    EXPECT_EQ(
        slurp(world.file_of(report.layers[0].digest)),
        slurp(world.published(report.layers[0].digest)).substr(0, report.layers[0].erofs_size)
    );
}

TEST_F(DaemonTest, ForgettingAnImageEndsItsRegistration)
{
    World world;
    (void)world.publish("good.key");
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    EXPECT_EQ(world.ask("DELETE", "/v1/images?reference=" + world.reference()).first, 200);
    EXPECT_TRUE(world.ask("GET", "/v1/images").second["images"].empty());
    EXPECT_EQ(world.ask("DELETE", "/v1/images?reference=" + world.reference()).first, 404);
}

TEST_F(DaemonTest, BadRequestsAreAnsweredWithWhatIsWrong)
{
    World world;
    world.start();
    EXPECT_EQ(world.ask("GET", "/v2/nothing").first, 404);
    EXPECT_EQ(world.ask("POST", "/v1/images", "{").first, 400);
    EXPECT_EQ(world.ask("POST", "/v1/images", "{}").first, 400);
    const auto [unknown, text] = world.ask("POST", "/v1/images", R"({"reference":"a.b/c","lazyonly":true})");
    EXPECT_EQ(unknown, 400);
    EXPECT_THAT(text["error"]["message"].get<std::string>(), HasSubstr("there is no member \"lazyonly\""));
    EXPECT_EQ(world.ask("POST", "/v1/status").first, 405);
    EXPECT_EQ(world.ask("POST", "/v1/images", R"({"reference":"UPPER CASE"})").first, 400);
    EXPECT_EQ(world.ask("POST", "/v1/images", Json{{"reference", world.reference("none")}}.dump()).first, 404);
    EXPECT_EQ(world.ask("POST", "/v1/images", std::string(100'000, ' ')).first, 413);
}

TEST_F(DaemonTest, OnlyAnOrderlyStopIsNotedAsClean)
{
    World killed;
    killed.start();
    killed.stop(); // as far as the cache can tell
    EXPECT_EQ(last_note(killed), "in use");

    World failed;
    (void)failed.dir.write("good.pub", "no key");
    failed.kernel = std::make_unique<test::FakeKernel>(failed.config.dir);
    failed.daemon = std::make_unique<Daemon>(
        failed.loop, failed.config, failed.kernel->io(), LayerReaper::Helper{"/bin/true", {}}, failed.descriptors
    );
    EXPECT_FALSE(failed.daemon->start());
    failed.stop();
    EXPECT_EQ(last_note(failed), "in use") << "the first start of all does not know who had the cache";

    World full;
    (void)full.publish("good.key");
    full.config.blocks = {99, 98, 97};
    full.start();
    EXPECT_TRUE(test::run_until(full.loop, [&] { return full.daemon->is_cache_sound(); }));
    EXPECT_EQ(full.add_image().first, 507);
    EXPECT_GT(full.daemon->counters().write_failures, 0U);
    full.daemon->stop(0);
    full.stop();
    EXPECT_EQ(last_note(full), "clean") << "what was refused was not written at all";

    World stopped;
    stopped.start();
    EXPECT_TRUE(test::run_until(stopped.loop, [&] { return stopped.daemon->is_cache_sound(); }));
    stopped.daemon->stop(0);
    stopped.stop();
    EXPECT_EQ(last_note(stopped), "clean");
}

TEST_F(DaemonTest, AWriteThatFailedIsNotNotedAsClean)
{
    World world;
    const auto report = world.publish("good.key");
    world.start();
    ASSERT_TRUE(test::run_until(world.loop, [&] { return world.daemon->is_cache_sound(); }));
    ASSERT_EQ(world.add_image().first, 200);
    const auto object = world.open(world.cookie_of(report.layers[0]));
    auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit small{1'000'000, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    EXPECT_NE(world.read(object, {2'097'152, 2'101'248}), 0);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ::signal(SIGXFSZ, handler);
    world.daemon->stop(0);
    world.stop();
    EXPECT_EQ(last_note(world), "in use") << "it may have left blocks that were never written";
}

TEST_F(DaemonTest, WhatACrashHasLeftUnwrittenIsFetchedAfterTheNextStart)
{
    World world;
    const auto report = world.publish("good.key");
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    const auto file = world.file_of(report.layers[0].digest);
    world.stop();
    const UniqueFd fd{kAdoptFd, ::open(file.c_str(), O_RDWR | O_CLOEXEC)};
    ASSERT_TRUE(fd);
    const auto size = static_cast<off_t>(report.layers[0].erofs_size);
    ASSERT_EQ(::fallocate(fd.get(), 0, 0, size), 0);
    std::string zeros(static_cast<std::size_t>(size), '?');
    ASSERT_EQ(::pread(fd.get(), zeros.data(), zeros.size(), 0), size); // so that SEEK_DATA takes them for data

    world.start();
    const auto object = world.open(world.cookie_of(report.layers[0]));
    EXPECT_EQ(world.read(object, {0, static_cast<std::uint64_t>(size)}), 0);
    EXPECT_EQ(slurp(file), slurp(world.published(report.layers[0].digest)).substr(0, zeros.size()));
}

TEST_F(DaemonTest, ASecondDaemonOnTheSameCacheIsRefused)
{
    World world;
    world.start();
    test::FakeKernel kernel{world.dir.path() / "kernel"};
    Daemon second{world.loop, world.config, kernel.io(), LayerReaper::Helper{"/bin/true", {}}, world.descriptors};
    const auto started = second.start();
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().text(), HasSubstr("cache"));
}

} // namespace
} // namespace sluice::daemon
