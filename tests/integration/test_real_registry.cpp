// SPDX-License-Identifier: Apache-2.0
//
// Debian's docker-registry over TLS and HTTP/2: that our client and our fake agree proves little, this is the real
// thing.
#include "base/text.hpp"
#include "fetcher/source.hpp"
#include "fetcher/targets.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "trust/ca_store.hpp"
#include "trust/hasher.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <memory>
#include <netinet/in.h>
#include <spawn.h>
#include <sstream>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <vector>

namespace sluice::fetcher {
namespace {

using ::testing::ElementsAre;

/// A port that was free a moment ago.
std::uint16_t free_port()
{
    const UniqueFd fd{kAdoptFd, ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = static_cast<sockaddr*>(static_cast<void*>(&address));
    if (::bind(fd.get(), any, size) != 0 || ::getsockname(fd.get(), any, &size) != 0) {
        throw std::runtime_error{"no free port"};
    }
    return ntohs(address.sin_port);
}

pid_t start(std::vector<std::string> command, const std::string& log)
{
    std::vector<char*> arguments;
    for (auto& word : command) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    pid_t pid = -1;
    const int error = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    return error == 0 ? pid : -1;
}

bool run_command(std::vector<std::string> command, const std::string& log)
{
    const auto pid = start(std::move(command), log);
    int status = -1;
    return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

class Sink final : public ChunkSink {
public:
    void on_chunk(std::uint64_t, AlignedBuffer chunk) override { bytes.append(as_text(chunk.bytes())); }

    std::string bytes;
};

class RealRegistry : public test::FdLeakTest {
protected:
    static constexpr std::size_t kBuffer = 256 * 1024;

    void SetUp() override
    {
        FdLeakTest::SetUp();
        const auto log = path("log");
        if (!run_command({"docker-registry", "--version"}, log)) {
            GTEST_SKIP() << "docker-registry is not installed";
        }
        ASSERT_TRUE(run_command(
            {"openssl",
             "req",
             "-x509",
             "-newkey",
             "ec",
             "-pkeyopt",
             "ec_paramgen_curve:prime256v1",
             "-nodes",
             "-days",
             "2",
             "-keyout",
             path("key.pem"),
             "-out",
             path("cert.pem"),
             "-subj",
             "/CN=sluice test",
             "-addext",
             "subjectAltName=IP:127.0.0.1"},
            log
        ));
        start_registry("");
    }

    /// Starts it, anew if it runs; `more` goes into the section "http" of its configuration.
    void start_registry(const std::string& more)
    {
        stop_registry();
        const auto log = path("log");
        const auto port = free_port();
        host_ = fmt::format("127.0.0.1:{}", port);
        const auto config = directory_.write(
            "config.yml",
            fmt::format(
                "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {}\n  tls:\n"
                "    certificate: {}\n    key: {}\n{}",
                path("storage"),
                host_,
                path("cert.pem"),
                path("key.pem"),
                more
            )
        );
        pid_ = start({"docker-registry", "serve", config}, log);
        ASSERT_GT(pid_, 0);
        options_.http.ca_file = path("cert.pem");
        // The first request may come before the registry listens: refused connections are tried again.
        options_.retry = BackoffPolicy{.first = milliseconds{20}, .longest = milliseconds{100}, .tries = 300};
        loop_.emplace();
        pool_.emplace(16 * kBuffer, kBuffer);
    }

    void TearDown() override
    {
        targets_.reset();
        sources_.reset();
        pool_.reset();
        loop_.reset();
        stop_registry();
        FdLeakTest::TearDown();
    }

    void stop_registry()
    {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
            pid_ = -1;
        }
    }

    /// The protocols of the requests for `blob`, by the registry's own log, once it has told of `count` of them.
    std::vector<std::string> protocols(const BlobLocation& blob, std::size_t count)
    {
        const auto request = "\"GET /v2/team/app/blobs/" + blob.digest.to_string() + ' ';
        std::vector<std::string> found;
        EXPECT_TRUE(test::run_until(*loop_, [&] {
            found.clear();
            std::ifstream log{path("log")};
            for (std::string line; std::getline(log, line);) {
                if (const auto at = line.find(request); at != std::string::npos) {
                    const auto begin = at + request.size();
                    found.push_back(line.substr(begin, line.find('"', begin) - begin));
                }
            }
            return found.size() >= count;
        }));
        return found;
    }

    void fetch_parts(const BlobLocation& blob, const std::string& content, std::uint64_t count)
    {
        for (std::uint64_t part = 0; part < count; ++part) {
            const ByteRange range{part * 4096, (part + 1) * 4096};
            Sink sink;
            const auto fetched = run(source().blobs(blob.repository).fetch(blob, range, sink, deadline()));
            ASSERT_TRUE(fetched) << fetched.error().text();
            EXPECT_TRUE(sink.bytes == content.substr(range.begin(), range.size()));
        }
    }

    Sources& source()
    {
        if (!sources_) {
            sources_.emplace(*loop_, options_, *pool_, &trust::sha256);
        }
        return *sources_;
    }

    ImageTarget& target()
    {
        if (!targets_) {
            targets_.emplace(*loop_, source(), &trust::sha256);
        }
        return targets_->images(repository());
    }

    template <typename T>
    Result<T> run(Task<Result<T>> task)
    {
        auto value = test::run_task(*loop_, std::move(task));
        return value ? std::move(*value) : fail(ErrorKind::kInternal, "the task did not end");
    }

    [[nodiscard]] std::string path(const std::string& name) const { return (directory_.path() / name).string(); }

    [[nodiscard]] std::string repository() const { return host_ + "/team/app"; }

    static Deadline deadline() { return Deadline::after(milliseconds{25'000}); }

    std::filesystem::path write_file(const std::string& name, const std::string& content)
    {
        return directory_.write(name, content);
    }

    BlobLocation push(const std::string& content)
    {
        const auto digest = trust::sha256(as_byte_span(content));
        const auto file = directory_.write("blob", content);
        const UniqueFd fd{kAdoptFd, ::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
        const auto pushed = run(target().push_blob(repository(), fd.get(), digest, content.size(), {}, deadline()));
        EXPECT_TRUE(pushed) << pushed.error().text();
        return {repository(), digest, content.size()};
    }

    RegistryOptions options_;

private:
    test::TempDir directory_;
    std::string host_;
    pid_t pid_ = -1;
    std::optional<EventLoop> loop_;
    std::optional<BufferPool> pool_;
    std::optional<Sources> sources_;
    std::optional<Targets> targets_;
};

std::string some_bytes(std::size_t size)
{
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<char>((i * 7 + (i >> 12)) & 0xff);
    }
    return bytes;
}

TEST_F(RealRegistry, ABlobThatWasPushedComesBackInRanges)
{
    const auto content = some_bytes(5'000'000);
    const auto blob = push(content);
    const auto there = run(target().blob_exists(repository(), blob.digest, deadline()));
    ASSERT_TRUE(there) << there.error().text();
    EXPECT_TRUE(*there);
    for (const auto& range : {ByteRange{0, 4096}, ByteRange{1'000'000, 3'000'000}, ByteRange{4'999'000, 5'000'000}}) {
        Sink sink;
        const auto fetched = run(source().blobs(blob.repository).fetch(blob, range, sink, deadline()));
        ASSERT_TRUE(fetched) << fetched.error().text();
        EXPECT_TRUE(sink.bytes == content.substr(range.begin(), range.size())) << range.to_string();
    }
    const auto nothing = run(target().blob_exists(repository(), trust::sha256({}), deadline()));
    ASSERT_TRUE(nothing) << nothing.error().text();
    EXPECT_FALSE(*nothing);
}

TEST_F(RealRegistry, Http2IsSpokenWhereItIsOffered)
{
    const auto content = some_bytes(100'000);
    const auto blob = push(content);
    fetch_parts(blob, content, 3);
    EXPECT_THAT(protocols(blob, 3), ElementsAre("HTTP/2.0", "HTTP/2.0", "HTTP/2.0"));
}

TEST_F(RealRegistry, Http11IsSpokenWhereNothingElseIsOffered)
{
    start_registry("  http2:\n    disabled: true\n");
    const auto content = some_bytes(100'000);
    const auto blob = push(content);
    fetch_parts(blob, content, 2);
    EXPECT_THAT(protocols(blob, 2), ElementsAre("HTTP/1.1", "HTTP/1.1"));
}

TEST_F(RealRegistry, AnImageThatWasPushedResolves)
{
    const auto layer = push(some_bytes(8192));
    const std::string config = R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}})";
    const auto config_digest = trust::sha256(as_byte_span(config));
    ASSERT_TRUE(run(target().push_blob_bytes(repository(), config, config_digest, deadline())));
    const auto text = fmt::format(
        R"({{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json",)"
        R"("digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.erofs","digest":"{}","size":{}}}]}})",
        media_type::kOciManifest,
        config_digest.to_string(),
        config.size(),
        layer.digest.to_string(),
        layer.size
    );
    const auto put =
        run(target().put_manifest(repository(), "v1", std::string{media_type::kOciManifest}, text, deadline()));
    ASSERT_TRUE(put) << put.error().text();
    auto reference = Reference::parse(repository() + ":v1");
    ASSERT_TRUE(reference);
    const auto resolved = run(source().images(repository()).resolve(*reference, host_platform(), deadline()));
    ASSERT_TRUE(resolved) << resolved.error().text();
    EXPECT_EQ(resolved->bytes, text);
    EXPECT_EQ(resolved->digest, trust::sha256(as_byte_span(text)));
    const auto bytes = run(
        source().images(repository()).fetch_small_blob(resolved->locate(resolved->manifest.config), 10'000, deadline())
    );
    ASSERT_TRUE(bytes) << bytes.error().text();
    EXPECT_EQ(*bytes, config);
    const auto none = run(source().images(repository()).fetch_manifest(repository(), "sha256-none.sig", deadline()));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind(), ErrorKind::kNotFound);
}

TEST_F(RealRegistry, AuthoritiesAreReadOnceForAllConnections)
{
    std::filesystem::copy_file(path("cert.pem"), path("authority.pem"));
    const auto store = trust::CaStore::load(path("authority.pem"));
    ASSERT_TRUE(store) << store.error().text();
    std::filesystem::remove(path("authority.pem"));
    options_.http.ca_file.clear();
    options_.http.authorities = [&store](void* context) { return store->install(context); };
    const auto blob = push("believed");
    const auto bytes = run(source().images(repository()).fetch_small_blob(blob, 100, deadline()));
    ASSERT_TRUE(bytes) << bytes.error().text();
    EXPECT_EQ(*bytes, "believed");
}

TEST_F(RealRegistry, AFileWithoutCertificatesIsNoAuthority)
{
    const auto store = trust::CaStore::load(write_file("empty.pem", "nothing here"));
    ASSERT_FALSE(store);
    EXPECT_THAT(store.error().text(), ::testing::HasSubstr("empty.pem"));
}

TEST_F(RealRegistry, ACertificateOfAnUnknownAuthorityIsRefused)
{
    (void)push("now it listens");
    RegistryOptions strict = options_;
    strict.http.ca_file.clear();
    strict.retry = BackoffPolicy{};
    EventLoop loop;
    BufferPool pool{4 * kBuffer, kBuffer};
    {
        Sources other{loop, strict, pool, &trust::sha256};
        const auto raw =
            test::run_task(loop, other.images(repository()).fetch_manifest(repository(), "v1", deadline()));
        ASSERT_TRUE(raw);
        ASSERT_FALSE(*raw);
        EXPECT_EQ(raw->error().kind(), ErrorKind::kDenied);
        EXPECT_EQ(other.counters().requests, 1U) << "tried again, which cannot help";
    }
}

} // namespace
} // namespace sluice::fetcher
