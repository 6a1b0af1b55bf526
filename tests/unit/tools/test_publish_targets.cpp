// SPDX-License-Identifier: Apache-2.0
//
// What is published, seen through the fetcher and the trust folder as the daemon sees it: from an image layout, and
// from Debian's docker-registry on the loopback interface.
#include "fetcher/source.hpp"
#include "fetcher/targets.hpp"
#include "tests/unit/tools/publish_fixture.hpp"
#include "trust/blob_annotations.hpp"
#include "trust/merkle_tree.hpp"
#include "trust/policy.hpp"

#include <arpa/inet.h>
#include <array>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::tools {
namespace {

/// Collects a range.
class Collector final : public fetcher::ChunkSink {
public:
    void on_chunk(std::uint64_t, AlignedBuffer chunk) override
    {
        bytes.insert(bytes.end(), chunk.bytes().begin(), chunk.bytes().end());
    }

    std::vector<std::byte> bytes;
};

class PublishTargetsTest : public PublishFixture {
protected:
    [[nodiscard]] static Deadline soon() { return Deadline::after(std::chrono::seconds{60}); }

    [[nodiscard]] std::vector<std::byte>
    fetch(fetcher::Sources& sources, const fetcher::BlobLocation& blob, ByteRange range)
    {
        Collector sink;
        const auto fetched = test::run_task(loop_, sources.blobs(blob.repository).fetch(blob, range, sink, soon()));
        EXPECT_TRUE(fetched && *fetched) << (fetched ? fetched->error().text() : "");
        return std::move(sink.bytes);
    }

    /// The signature of `digest`, found and verified as a daemon does it.
    void expect_signed(fetcher::Sources& sources, const std::string& repository, const Digest& digest)
    {
        const auto tag = trust::signature_tag(digest);
        const auto raw = test::run_task(loop_, sources.images(repository).fetch_manifest(repository, tag, soon()));
        ASSERT_TRUE(raw && *raw) << (raw ? raw->error().text() : "");
        const auto parsed = fetcher::parse_manifest((*raw)->bytes, (*raw)->media_type);
        ASSERT_TRUE(parsed) << parsed.error().text();
        trust::SignatureSearch search{repository, {repository + ", tag " + tag}, {}};
        for (const auto& layer : std::get<fetcher::Manifest>(*parsed).layers) {
            const fetcher::BlobLocation place{repository, layer.digest, layer.size};
            const auto payload = test::run_task(
                loop_, sources.images(repository).fetch_small_blob(place, trust::kMaxPayloadSize, soon())
            );
            const auto* signature = layer.annotation(trust::kSimpleSigningAnnotation);
            ASSERT_TRUE(payload && *payload && signature != nullptr);
            search.candidates.push_back({"layer", trust::SimpleSigning{**payload, *signature}});
        }
        trust::KeyRing keys;
        keys.add(*trust::PublicKey::load(dir_.path() / "key.pub"));
        const auto verified = trust::require_signature(search, digest, keys);
        EXPECT_TRUE(verified) << verified.error().text();
    }

    /// Publishes to `reference`, then proves every block of every layer through the tree that lies behind it.
    void publish_and_prove(const std::string& reference, bool index)
    {
        BufferPool pool{std::size_t{8} << 20, std::size_t{256} << 10};
        fetcher::RegistryOptions registry;
        registry.insecure.push_back(fetcher::Reference::parse(reference)->repository.registry);
        fetcher::Sources sources{loop_, registry, pool, trust::sha256};
        auto what = from_tree();
        what.reference = reference;
        what.index = index;
        what.chunk_size = 4096;
        what.separate_data = true;
        WorkerPool workers{1};
        fetcher::Targets targets{loop_, sources, trust::sha256};
        const PublishContext context{loop_, workers, sources.images(reference), targets.images(reference)};
        const auto report = test::run_task(loop_, publish(context, what, {}));
        ASSERT_TRUE(report && *report) << (report ? report->error().text() : "");

        const auto platform = *fetcher::parse_platform("linux/amd64");
        const auto parsed = fetcher::Reference::parse(reference);
        ASSERT_TRUE(parsed);
        const auto resolved = test::run_task(loop_, sources.images(reference).resolve(*parsed, platform, soon()));
        ASSERT_TRUE(resolved && *resolved) << (resolved ? resolved->error().text() : "");
        const auto& image = **resolved;
        EXPECT_EQ(image.digest, (*report)->manifest);
        EXPECT_EQ(image.index_digest.has_value(), index);
        expect_signed(sources, image.repository, image.digest);
        if (index) {
            expect_signed(sources, image.repository, *image.index_digest);
        }
        ASSERT_EQ(image.manifest.layers.size(), 2U);
        for (const auto& layer : image.manifest.layers) {
            prove(sources, image.locate(layer), layer.annotations);
        }
    }

    void prove(fetcher::Sources& sources, const fetcher::BlobLocation& blob, const trust::Annotations& annotations)
    {
        const auto how = trust::parse_blob_trust(annotations, blob.size);
        ASSERT_TRUE(how) << how.error().text();
        trust::MerkleTree tree{how->geometry, how->root};
        const ByteRange all{0, how->erofs_size};
        for (auto runs = tree.missing_for(all, 64); !runs.empty(); runs = tree.missing_for(all, 64)) {
            for (const auto& run : runs) {
                const ByteRange in_blob{how->tree_offset + run.bytes.begin(), how->tree_offset + run.bytes.end()};
                const auto blocks = fetch(sources, blob, in_blob);
                ASSERT_EQ(trust::first_mismatch(blocks, tree.expected_of(run)), std::nullopt);
                tree.insert(run, blocks);
            }
        }
        EXPECT_EQ(trust::first_mismatch(fetch(sources, blob, all), tree.expected_of_data(all)), std::nullopt);
    }
};

TEST_F(PublishTargetsTest, AnImageLayoutHoldsAllThatAMountNeeds)
{
    publish_and_prove("oci:" + (dir_.path() / "layout").string() + ":v1", false);
    publish_and_prove("oci:" + (dir_.path() / "layout").string() + ":v2", true);
}

/// Debian's registry on a free port of the loopback interface, its storage in `dir`.
class LocalRegistry {
public:
    explicit LocalRegistry(const test::TempDir& dir)
    {
        port_ = free_port();
        const auto config = dir.write(
            "registry.yml",
            fmt::format(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n"
                "http: {{addr: \"127.0.0.1:{}\"}}\n",
                (dir.path() / "registry").string(),
                port_
            )
        );
        std::string program = "docker-registry";
        std::string verb = "serve";
        std::string file = config.string();
        const std::array<char*, 4> argv{program.data(), verb.data(), file.data(), nullptr};
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        const auto log = (dir.path() / "registry.log").string();
        ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT, 0600);
        ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
        if (::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) {
            pid_ = -1;
        }
        ::posix_spawn_file_actions_destroy(&actions);
    }

    LocalRegistry(const LocalRegistry&) = delete;
    LocalRegistry& operator=(const LocalRegistry&) = delete;

    ~LocalRegistry()
    {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }

    [[nodiscard]] std::string name() const { return fmt::format("127.0.0.1:{}", port_); }

private:
    [[nodiscard]] static int free_port()
    {
        const UniqueFd fd{kAdoptFd, ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* generic = static_cast<sockaddr*>(static_cast<void*>(&address));
        EXPECT_EQ(::bind(fd.get(), generic, size), 0);
        EXPECT_EQ(::getsockname(fd.get(), generic, &size), 0);
        return ntohs(address.sin_port);
    }

    int port_ = 0;
    pid_t pid_ = -1;
};

TEST_F(PublishTargetsTest, ARealRegistryTakesItAndGivesItBack)
{
    if (run_shell("command -v docker-registry").status != 0) {
        GTEST_SKIP() << "docker-registry is not installed";
    }
    const LocalRegistry registry{dir_};
    // The registry may still be starting: the client tries again by itself.
    publish_and_prove(registry.name() + "/team/app:v1", false);
    publish_and_prove(registry.name() + "/team/app:v2", true);
}

} // namespace
} // namespace sluice::tools
