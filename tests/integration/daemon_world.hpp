// SPDX-License-Identifier: Apache-2.0
//
// A daemon whole in this process, with the fake kernel in the place of /dev/cachefiles, and what it serves: images that
// are really published (mkfs.erofs, signed) into an image layout.
#pragma once

#include "base/json.hpp"
#include "daemon/daemon.hpp"
#include "fetcher/http_client.hpp"
#include "fetcher/source.hpp"
#include "fetcher/targets.hpp"
#include "protocol/cookie_path.hpp"
#include "tests/support/fake_kernel.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tools/publish/publish.hpp"
#include "trust/hasher.hpp"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <future>
#include <gtest/gtest.h>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

namespace sluice::daemon {

inline std::string slurp(const std::filesystem::path& file)
{
    std::ifstream in{file, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

inline void shell(const std::string& command)
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
        config.trusted_keys = {{dir.path() / "good.pub", {}}};
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

    tools::PublishReport publish(const std::string& key, const std::string& compression = {}, bool two_layers = false)
    {
        BufferPool pool{1 << 20, 64 * 1024};
        WorkerPool workers{1};
        fetcher::Sources sources{loop, {}, pool, &trust::sha256};
        fetcher::Targets targets{loop, sources, &trust::sha256};
        tools::PublishOptions options;
        options.reference = reference();
        options.key = dir.path() / key;
        options.compression = compression;
        tools::PublishInput input;
        input.path = dir.path() / "tree";
        options.inputs = {input};
        if (two_layers) {
            (void)dir.write("upper/more", std::string(100'000, 'm'));
            options.inputs.push_back(input);
            options.inputs.back().path = dir.path() / "upper";
        }
        const tools::PublishContext context{
            loop, workers, sources.images(options.reference), targets.images(options.reference)};
        auto report = test::run_task(loop, tools::publish(context, options, {}));
        EXPECT_TRUE(report && *report) << (report ? report->error().text() : "no report");
        return report && *report ? **report : tools::PublishReport{};
    }

    void start()
    {
        config.front_end = FrontEndMode::kCachefiles;
        kernel = std::make_unique<test::FakeKernel>(config.dir);
        start_daemon();
    }

    /// A daemon on the kernel that is there already, with `descriptors` as its inheritance.
    void start_daemon()
    {
        daemon =
            std::make_unique<Daemon>(loop, config, kernel->io(), LayerReaper::Helper{"/bin/true", {}}, descriptors);
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

    /// What the daemon calls the blob that manifests call `digest`.
    std::string cookie_of(const Digest& digest)
    {
        const auto blobs = ask("GET", "/v1/blobs").second["blobs"];
        for (const auto& blob : blobs) {
            if (blob["digest"] == digest.to_string()) {
                return blob["cookie"];
            }
        }
        ADD_FAILURE() << "there is no blob " << digest.to_string();
        return {};
    }

    /// What a daemon would call the blob, whether it knows it or not.
    [[nodiscard]] static std::string cookie_of(const tools::PublishedLayer& layer)
    {
        BlobInfo blob;
        blob.digest = layer.digest;
        blob.root = layer.root;
        blob.blob_size = layer.size;
        blob.erofs_size = layer.erofs_size;
        blob.tree_offset = layer.erofs_size;
        return daemon::cookie_of(blob);
    }

    /// Where the blob's backing file lies.
    std::filesystem::path file_of(const Digest& digest)
    {
        return config.dir / protocol::cookie_path("erofs,sluice", cookie_of(digest));
    }

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
    FdStore descriptors;
    std::unique_ptr<test::FakeKernel> kernel;
    std::unique_ptr<Daemon> daemon;
};

} // namespace sluice::daemon
