// SPDX-License-Identifier: Apache-2.0
// The whole daemon natively: images really published (mkfs.erofs, signed) into an image layout, a control socket really
// spoken to, and the fake kernel in the place of /dev/cachefiles.
#include "base/json.hpp"
#include "daemon/daemon.hpp"
#include "fetcher/http_client.hpp"
#include "fetcher/source.hpp"
#include "protocol/cookie_path.hpp"
#include "tests/support/fake_kernel.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tools/publish/publish.hpp"
#include "trust/hasher.hpp"

#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <future>
#include <gmock/gmock.h>
#include <iterator>

namespace sluice::daemon {
namespace {

using ::testing::HasSubstr;

std::string slurp(const std::filesystem::path& file)
{
    std::ifstream in{file, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

void shell(const std::string& command)
{
    ASSERT_EQ(std::system(command.c_str()), 0) << command; // NOLINT(concurrency-mt-unsafe, cert-env33-c)
}

struct World {
    World()
    {
        std::filesystem::create_directories(dir.path() / "kernel");
        std::filesystem::create_directories(dir.path() / "cache");
        std::filesystem::permissions(dir.path() / "cache", std::filesystem::perms::owner_all);
        for (const auto* name : {"good", "other"}) {
            shell(fmt::format(
                "cd {0} && openssl ecparam -genkey -name prime256v1 -noout 2>/dev/null | openssl pkcs8 -topk8 -nocrypt "
                "-out {1}.key "
                "&& openssl pkey -in {1}.key -pubout -out {1}.pub",
                dir.path().string(),
                name
            ));
        }
        config.dir = dir.path() / "cache";
        config.control_socket = dir.path() / "control.sock";
        config.layers_dir = dir.path() / "layers";
        config.trusted_keys = {dir.path() / "good.pub"};
        config.workers = 2;
        config.log_level = log::Level::kError;
        log::set_level(log::Level::kError);
        (void)dir.write("tree/hello", "hello");
        (void)dir.write("tree/large", std::string(3'000'000, 'l') + "end");
    }

    ~World() { log::set_level(log::Level::kInfo); }

    [[nodiscard]] std::string reference(const std::string& tag = "v1") const
    {
        return fmt::format("oci:{}:{}", (dir.path() / "layout").string(), tag);
    }

    tools::PublishReport publish(const std::string& key, const std::string& compression = {})
    {
        BufferPool pool{1 << 20, 64 * 1024};
        WorkerPool workers{1};
        fetcher::Sources target{loop, {}, pool, &trust::sha256};
        tools::PublishOptions options;
        options.reference = reference();
        options.key = dir.path() / key;
        options.compression = compression;
        tools::PublishInput input;
        input.path = dir.path() / "tree";
        options.inputs = {input};
        auto report = test::run_task(loop, tools::publish({loop, workers, target}, options, {}));
        EXPECT_TRUE(report && *report) << (report ? report->error().text() : "no report");
        return report && *report ? **report : tools::PublishReport{};
    }

    void start()
    {
        kernel = std::make_unique<test::FakeKernel>(dir.path() / "kernel");
        daemon = std::make_unique<Daemon>(loop, config, kernel->io(), "/bin/true");
        const auto started = daemon->start();
        ASSERT_TRUE(started) << started.error().text();
    }

    void stop()
    {
        daemon.reset();
        kernel.reset();
    }

    /// Status and body of a request on the control socket.
    std::pair<int, Json> ask(const std::string& method, const std::string& path, const std::string& body = {})
    {
        fetcher::HttpClient http{loop, {}};
        fetcher::HttpRequest request;
        request.method = method;
        request.url = "http://localhost" + path;
        request.body = body;
        request.unix_socket = config.control_socket;
        const auto response = test::run_task(loop, http.send(std::move(request)));
        if (!response || !*response) {
            ADD_FAILURE() << (response ? response->error().text() : "no answer");
            return {0, {}};
        }
        return {(*response)->status, Json::parse((*response)->body, nullptr, false)};
    }

    std::pair<int, Json> add_image() { return ask("POST", "/v1/images", Json{{"reference", reference()}}.dump()); }

    test::FakeObjectPtr open(const std::string& cookie)
    {
        auto object = kernel->open_object("erofs,sluice", cookie);
        EXPECT_TRUE(test::run_until(loop, [&] { return kernel->state(object) != test::FakeObjectState::kOpening; }));
        return object;
    }

    int read(const test::FakeObjectPtr& object, ByteRange range)
    {
        auto done = std::async(std::launch::async, [&] { return kernel->read_blocking(object, range); });
        EXPECT_TRUE(test::run_until(loop, [&] { return done.wait_for(milliseconds{0}) == std::future_status::ready; }));
        return done.get();
    }

    [[nodiscard]] std::filesystem::path published(const Digest& digest) const
    {
        return dir.path() / "layout/blobs/sha256" / digest.hex();
    }

    test::TempDir dir;
    EventLoop loop;
    Config config;
    std::unique_ptr<test::FakeKernel> kernel;
    std::unique_ptr<Daemon> daemon;
};

class DaemonTest : public test::FdLeakTest {};

TEST_F(DaemonTest, AnImageIsRegisteredOpenedAndRead)
{
    World world;
    const auto report = world.publish("good.key");
    world.start();
    const auto [status, image] = world.add_image();
    ASSERT_EQ(status, 200) << image.dump();
    const auto& layer = image["layers"][0];
    EXPECT_EQ(image["manifest_digest"], report.manifest.to_string());
    EXPECT_EQ(layer["fsid"], report.layers[0].digest.hex());
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
    const auto cookie = report.layers[0].digest.hex();
    const auto size = report.layers[0].erofs_size;
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
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
    EXPECT_THAT(answer["error"]["message"].get<std::string>(), AllOf(HasSubstr(".sig"), HasSubstr("good")));
    const auto object = world.open(report.layers[0].digest.hex());
    EXPECT_EQ(world.kernel->state(object), test::FakeObjectState::kFailed);
}

TEST_F(DaemonTest, AKeyThatIsNoLongerTrustedTakesItsImagesAway)
{
    World world;
    const auto report = world.publish("good.key");
    world.start();
    ASSERT_EQ(world.add_image().first, 200);
    world.stop();
    world.config.trusted_keys = {world.dir.path() / "other.pub"};
    world.start();
    const auto object = world.open(report.layers[0].digest.hex());
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
    const auto object = world.open(report.layers[0].digest.hex());
    EXPECT_EQ(world.read(object, {999'424, 1'003'520}), EIO);
    EXPECT_EQ(world.read(object, {4096, 8192}), 0);
    const auto message = world.ask("GET", "/v1/blobs").second["blobs"][0]["last_error"]["message"].get<std::string>();
    EXPECT_THAT(message, HasSubstr("does not match the signed hash tree"));
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
    const auto committed = protocol::cookie_path("erofs,sluice", report.layers[0].digest.hex());
    EXPECT_EQ(
        slurp(world.config.dir / committed),
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
    EXPECT_EQ(world.ask("POST", "/v1/images", R"({"reference":"a.b/c","lazyonly":true})").first, 400);
    EXPECT_EQ(world.ask("POST", "/v1/status").first, 405);
    EXPECT_EQ(world.ask("POST", "/v1/images", R"({"reference":"UPPER CASE"})").first, 400);
    EXPECT_EQ(world.ask("POST", "/v1/images", Json{{"reference", world.reference("none")}}.dump()).first, 404);
    EXPECT_EQ(world.ask("POST", "/v1/images", std::string(100'000, ' ')).first, 413);
}

TEST_F(DaemonTest, ASecondDaemonOnTheSameCacheIsRefused)
{
    World world;
    world.start();
    test::FakeKernel kernel{world.dir.path() / "kernel"};
    Daemon second{world.loop, world.config, kernel.io(), "/bin/true"};
    const auto started = second.start();
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().text(), HasSubstr("cache"));
}

} // namespace
} // namespace sluice::daemon
