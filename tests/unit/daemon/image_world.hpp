// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/blob/tree_budget.hpp"
#include "daemon/image/image_service.hpp"
#include "tests/support/fake_images.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/only.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/trust/test_keys.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::daemon {

inline const std::string kRepository = "registry.test/app";

/// The image service over a database in a file and a registry in memory.
class ImageWorld : public test::FdLeakTest {
protected:
    ImageWorld()
    {
        options.platform = fetcher::host_platform();
        policy.failure_memory = milliseconds{0};
        trust_key(trust::test_keys::kP256Public);
    }

    void SetUp() override
    {
        FdLeakTest::SetUp();
        before_ = test::count_open_fds();
    }

    void TearDown() override
    {
        stop();
        // What workers do in the background has no waiter, and a descriptor for a moment.
        (void)test::run_until(loop, [&] { return test::count_open_fds() == before_; });
        FdLeakTest::TearDown();
    }

    void trust_key(std::string_view pem) { keys.add(*trust::PublicKey::parse(pem, "team.pem")); }

    [[nodiscard]] std::filesystem::path database() const { return dir.path() / "sluice.db"; }

    void start()
    {
        catalogue = std::make_unique<Catalogue>();
        blobs = std::make_unique<Blobs>(services, policy);
        auto opened = ImageStore::open(loop, database());
        ASSERT_TRUE(opened) << opened.error().text();
        store = std::move(*opened);
        images = std::make_unique<ImageService>(
            ImageService::Parts{loop, workers, test::only_images(source), keys, *catalogue, *blobs, *store, &trees},
            options
        );
        const auto loaded = images->load();
        ASSERT_TRUE(loaded) << loaded.error().text();
    }

    void stop()
    {
        images.reset();
        store.reset();
        blobs.reset();
        catalogue.reset();
    }

    void restart()
    {
        stop();
        start();
    }

    /// A signed image of these layers; its manifest's digest.
    Digest publish(const std::vector<Json>& layers, const std::string& tag = "1")
    {
        const auto digest = test::add_image(source, kRepository, tag, layers);
        test::sign(source, kRepository, digest, trust::test_keys::kP256Private);
        return digest;
    }

    Digest publish_simple(const std::string& tag = "1", unsigned char seed = 1)
    {
        return publish({test::add_layer(source, test::ErofsBytes{.seed = seed}.bytes())}, tag);
    }

    static std::string name_of(const std::string& tag = "1") { return kRepository + ":" + tag; }

    Result<cache::ImageRecord> ensure(const std::string& tag = "1", bool refresh = false)
    {
        ImageService::Request request{name_of(tag), false, refresh};
        auto ensured = test::run_task(loop, images->ensure(std::move(request)));
        return ensured ? std::move(*ensured) : fail(ErrorKind::kInternal, "the task did not end");
    }

    Result<void> forget(const std::string& tag = "1")
    {
        auto forgotten = test::run_task(loop, images->forget(name_of(tag)));
        return forgotten ? std::move(*forgotten) : fail(ErrorKind::kInternal, "the task did not end");
    }

    /// What begins so fails with `kind`.
    void fail_on(std::string what, ErrorKind kind)
    {
        source.fault = [what = std::move(what), kind](const std::string& asked) -> std::optional<Error> {
            return asked.starts_with(what) ? std::optional{Error{kind, "registry.test: failed as told"}} : std::nullopt;
        };
    }

    test::TempDir dir;
    EventLoop loop;
    cache::TreeStore trees{dir.path()};
    BufferPool buffers{1 << 20, 64 * 1024};
    WorkerPool workers{2};
    test::FakeImageSource source{loop, buffers};
    Counters counters;
    TreeBudget budget{16U << 20};
    fetcher::MirrorSet mirrors{loop, test::only(source)};
    FillServices services{
        loop,
        workers,
        mirrors,
        &trees,
        counters,
        budget,
        nullptr,
        {dir.path(), dir.path() / "private", volume_of("sluice")}};
    FillPolicy policy;
    trust::KeyRing keys;
    ImageService::Options options;
    std::unique_ptr<Catalogue> catalogue;
    std::unique_ptr<Blobs> blobs;
    std::unique_ptr<ImageStore> store;
    std::unique_ptr<ImageService> images;

private:
    std::size_t before_ = 0;
};

} // namespace sluice::daemon
