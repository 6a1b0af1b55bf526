// SPDX-License-Identifier: Apache-2.0
// The programs as they are installed: sluiced without a kernel front end, a registry over HTTP, clients of other users.
#include "fetcher/targets.hpp"
#include "tests/integration/library_world.hpp"
#include "tests/integration/process.hpp"
#include "tests/support/fake_registry.hpp"

#include <gmock/gmock.h>
#include <numeric>

namespace sluice::daemon {
namespace {

using ::testing::HasSubstr;

constexpr gid_t kGroup = 65534; // nogroup
constexpr gid_t kNoMember = 65533;

/// As World, with everything in processes of its own.
struct Node {
    Node()
    {
        // Others have to get through to the socket.
        std::filesystem::permissions(dir.path(), std::filesystem::perms{0711});
        std::filesystem::create_directory(dir.path() / "cache");
        std::filesystem::permissions(dir.path() / "cache", std::filesystem::perms::owner_all);
        shell(fmt::format(
            "cd {} && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key 2>/dev/null && openssl "
            "pkey "
            "-in key -pubout -out key.pub",
            dir.path().string()
        ));
        std::string bytes(8'000'000, '\0');
        std::uint32_t state = 1;
        for (auto& byte : bytes) {
            state = state * 1664525U + 1013904223U;
            byte = static_cast<char>(state >> 24U);
        }
        (void)dir.write("tree/data", bytes);
        publish();
        const std::string group = ::geteuid() == 0 ? "library-group nogroup\n" : "";
        (void)dir.write(
            "sluiced.conf",
            fmt::format(
                "dir {0}/cache\nfront-end none\ntrusted-key {0}/key.pub\nregistry-insecure {1}\n"
                "control-socket {0}/control.sock\nlayers-dir {0}/layers\nread-ahead 0\n{2}",
                dir.path().string(),
                registry.host(),
                group
            )
        );
    }

    void publish()
    {
        BufferPool pool{1 << 20, 64 * 1024};
        WorkerPool workers{1};
        fetcher::RegistryOptions insecure;
        insecure.insecure = {registry.host()};
        fetcher::Sources sources{loop, insecure, pool, &trust::sha256};
        fetcher::Targets targets{loop, sources, &trust::sha256};
        tools::PublishOptions options;
        options.reference = reference();
        options.key = dir.path() / "key";
        tools::PublishInput input;
        input.path = dir.path() / "tree";
        options.inputs = {input};
        const tools::PublishContext context{
            loop, workers, sources.images(options.reference), targets.images(options.reference)};
        const auto report = test::run_task(loop, tools::publish(context, options, {}));
        ASSERT_TRUE(report && *report);
        layer = (*report)->layers[0].digest;
        content = registry.blob(layer).value_or("").substr(0, (*report)->layers[0].erofs_size);
        (void)dir.write("expected", content);
    }

    [[nodiscard]] std::string reference() const { return registry.host() + "/app:v1"; }

    [[nodiscard]] std::string path(const std::string& name) const { return (dir.path() / name).string(); }

    void start()
    {
        sluiced.emplace(std::vector<std::string>{SLUICED, "-n", "-f", path("sluiced.conf")}, path("log"), path("log"));
        ASSERT_TRUE(sluiced->started());
        ASSERT_TRUE(test::run_until(loop, [&] { return status().contains("library"); })) << slurp(path("log"));
    }

    Json status()
    {
        fetcher::HttpClient http{loop, {}};
        fetcher::HttpRequest request;
        request.url = "http://localhost/v1/status";
        request.unix_socket = path("control.sock");
        const auto response = test::run_task(loop, http.send(std::move(request)));
        return response && *response ? Json::parse((*response)->body, nullptr, false) : Json::object();
    }

    std::unique_ptr<test::Process> run(std::vector<std::string> command)
    {
        return std::make_unique<test::Process>(std::move(command), path("out"), path("errors"));
    }

    int run_to_end(std::vector<std::string> command)
    {
        std::filesystem::remove(path("out"));
        const auto process = run(std::move(command));
        EXPECT_TRUE(test::run_until(loop, [&] { return process->poll() >= 0; }));
        return process->poll();
    }

    int export_image(const std::string& file)
    {
        return run_to_end({SLUICECTL, "--socket", path("control.sock"), "export", reference(), path(file)});
    }

    std::vector<std::string> reader(const std::string& reads, gid_t group)
    {
        return {LIBRARY_READER, path("blobs.sock"), layer.to_string(), path("expected"), reads, std::to_string(group)};
    }

    test::TempDir dir;
    EventLoop loop;
    test::FakeRegistry registry{&trust::sha256};
    Digest layer;
    std::string content;
    std::optional<test::Process> sluiced;
};

TEST(LibraryProcesses, HundredReadsOfAnOrdinaryUserOutlastTheDaemonsDeath)
{
    Node node;
    node.start();
    // Registered, and next to nothing of it is in the cache.
    ASSERT_EQ(
        node.run_to_end(
            {SLUICECTL,
             "--socket",
             node.path("control.sock"),
             "export",
             "--layer",
             "9",
             node.reference(),
             node.path("none")}
        ),
        1
    );
    node.registry.script("/blobs/", test::Fault{.hold = true}, test::FakeRegistry::kForever);
    const auto reader = node.run(node.reader("100", kGroup));
    ASSERT_TRUE(test::run_until(node.loop, [&] {
        return node.status()["library"]["reads"] == 100 || reader->poll() >= 0;
    }));
    ASSERT_EQ(reader->poll(), -1) << slurp(node.path("errors"));
    EXPECT_EQ(node.sluiced->end(SIGKILL), 128 + SIGKILL);
    node.registry.clear_scripts();
    node.registry.release();
    node.start();
    ASSERT_TRUE(test::run_until(
        node.loop, [&] { return reader->poll() >= 0; }, std::chrono::seconds{60}
    ));
    EXPECT_EQ(reader->poll(), 0) << slurp(node.path("errors"));
    EXPECT_EQ(node.status()["library"]["reads_failed"], 0);
    EXPECT_EQ(node.sluiced->end(SIGTERM), 0) << slurp(node.path("log"));
}

TEST(LibraryProcesses, OnlyMembersOfTheGroupGetIn)
{
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root, to become others";
    }
    Node node;
    node.start();
    ASSERT_EQ(node.export_image("whole"), 0) << slurp(node.path("errors"));
    EXPECT_EQ(node.run_to_end(node.reader("3", kGroup)), 0);
    EXPECT_EQ(node.run_to_end(node.reader("3", kNoMember)), 3);
    EXPECT_THAT(slurp(node.path("errors")), HasSubstr("Permission denied"));
}

TEST(LibraryProcesses, AnExportThatWasKilledGoesOn)
{
    Node node;
    node.start();
    node.registry.script("/blobs/" + node.layer.to_string(), {}, 3); // the tree, and the first data
    node.registry.script("/blobs/" + node.layer.to_string(), test::Fault{.hold = true}, test::FakeRegistry::kForever);
    const auto killed =
        node.run({SLUICECTL, "--socket", node.path("control.sock"), "export", node.reference(), node.path("image")});
    ASSERT_TRUE(test::run_until(node.loop, [&] {
        return std::filesystem::exists(node.path("image.part")) && node.registry.held() > 0;
    }));
    killed->end(SIGKILL);
    EXPECT_FALSE(std::filesystem::exists(node.path("image")));
    node.registry.clear_scripts();
    node.registry.release();
    ASSERT_EQ(node.export_image("image"), 0) << slurp(node.path("errors"));
    EXPECT_EQ(slurp(node.path("image")), node.content);
    EXPECT_FALSE(std::filesystem::exists(node.path("image.part")));
}

TEST(LibraryProcesses, TheExamplesDoWhatTheySay)
{
    Node node;
    node.start();
    ASSERT_EQ(node.export_image("whole"), 0);
    const auto socket = node.path("blobs.sock");
    EXPECT_EQ(node.run_to_end({EXAMPLE_READ_BLOB, node.layer.to_string(), socket}), 0) << slurp(node.path("errors"));
    EXPECT_EQ(slurp(node.path("out")), node.content);
    EXPECT_EQ(node.run_to_end({EXAMPLE_READ_ASYNC, node.reference(), socket}), 0) << slurp(node.path("errors"));
    const auto sum =
        std::accumulate(node.content.begin(), node.content.end(), std::uint64_t{0}, [](auto so_far, char byte) {
            return so_far + static_cast<unsigned char>(byte);
        });
    EXPECT_EQ(slurp(node.path("out")), std::to_string(sum) + "\n");
    EXPECT_EQ(node.run_to_end({EXAMPLE_READ_BLOB, node.layer.to_string(), "/nowhere"}), 1);
}

TEST(LibraryProcesses, NothingIsMountedByADaemonWithoutAFrontEnd)
{
    if (::geteuid() != 0) {
        GTEST_SKIP() << "mounting needs root";
    }
    Node node;
    node.start();
    EXPECT_EQ(
        node.run_to_end({SLUICECTL, "--socket", node.path("control.sock"), "mount", node.reference(), node.path("tree")}
        ),
        1
    );
    EXPECT_THAT(slurp(node.path("errors")), HasSubstr("front-end none"));
}

} // namespace
} // namespace sluice::daemon
