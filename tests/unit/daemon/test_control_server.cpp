// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_api.hpp"
#include "daemon/control/control_json.hpp"
#include "daemon/control/control_server.hpp"
#include "fetcher/http_client.hpp"
#include "tests/support/descriptor_keeper.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <array>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice::daemon {
namespace {

using ::testing::HasSubstr;

class ControlServerTest : public ::testing::Test {
protected:
    using Response = Result<fetcher::HttpResponse>;

    static Task<ControlReply> answer(ControlServerTest& self, ControlRequest request)
    {
        self.requests.push_back(request);
        if (request.path == "/slow") {
            const OneShot<bool> go{self.loop};
            self.waiting.push_back(go.setter());
            const bool said = co_await go;
            ++self.finished;
            co_return ControlReply{200, said ? "{\"slow\":true}" : "{}"};
        }
        co_return ControlReply{request.path == "/bad" ? 418U : 200U, "{\"path\":\"" + request.path + "\"}"};
    }

    static Task<void> collect(std::optional<Response>& out, Task<Response> inner)
    {
        auto response = co_await inner;
        out.emplace(std::move(response));
    }

    void start(mode_t mode = 0600)
    {
        ControlServer::Options options;
        options.socket_path = socket.string();
        options.mode = mode;
        server = std::make_unique<ControlServer>(
            loop, options, [this](ControlRequest request) { return answer(*this, std::move(request)); }, descriptors
        );
    }

    fetcher::HttpRequest request_of(const std::string& method, const std::string& path, std::string body = {})
    {
        fetcher::HttpRequest request;
        request.method = method;
        request.url = "http://localhost" + path;
        request.body = std::move(body);
        request.unix_socket = socket;
        return request;
    }

    fetcher::HttpResponse ask(const std::string& method, const std::string& path, std::string body = {})
    {
        auto request = request_of(method, path, std::move(body));
        const auto response = test::run_task(loop, http.send(std::move(request)));
        EXPECT_TRUE(response && *response) << (response ? response->error().text() : "no answer");
        return response && *response ? **response : fetcher::HttpResponse{};
    }

    std::string refusal(const std::filesystem::path& path)
    {
        try {
            ControlServer::Options options;
            options.socket_path = path.string();
            FdStore other;
            const ControlServer second{
                loop, options, [this](ControlRequest request) { return answer(*this, std::move(request)); }, other};
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        return "was made";
    }

    /// One that the server has, and whose answer waits for waiting[0].
    class SlowRequest {
    public:
        explicit SlowRequest(ControlServerTest& test) : test_{test}, scope_{test.loop}
        {
            auto request = test.request_of("GET", "/slow");
            scope_.spawn(collect(response, test.http.send(std::move(request))));
            EXPECT_TRUE(test::run_until(test.loop, [&] { return test.waiting.size() == 1; }));
        }

        SlowRequest(const SlowRequest&) = delete;
        SlowRequest& operator=(const SlowRequest&) = delete;
        ~SlowRequest() = default; // goes away

        [[nodiscard]] fetcher::HttpResponse wait()
        {
            EXPECT_TRUE(test::run_until(test_.loop, [&] { return response.has_value(); }));
            EXPECT_TRUE(response && *response);
            return response && *response ? **response : fetcher::HttpResponse{};
        }

        std::optional<Response> response;

    private:
        ControlServerTest& test_;
        TaskScope scope_;
    };

    test::TempDir dir;
    std::filesystem::path socket = dir.path() / "control.sock";
    EventLoop loop;
    test::DescriptorKeeper keeper;
    FdStore descriptors;
    fetcher::HttpClient http{loop, {}};
    std::vector<ControlRequest> requests;
    std::vector<OneShot<bool>::Setter> waiting;
    unsigned finished = 0; ///< of those that waited
    std::unique_ptr<ControlServer> server;
};

TEST_F(ControlServerTest, AnswersOverTcpTooWhereNobodyIsKnown)
{
    UniqueFd listener{kAdoptFd, ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    ASSERT_EQ(::listen(listener.get(), 4), 0); // at a port that is free
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ASSERT_EQ(::getsockname(listener.get(), static_cast<sockaddr*>(static_cast<void*>(&address)), &size), 0);
    server = std::make_unique<ControlServer>(loop, "metrics", std::move(listener), 4, [this](ControlRequest request) {
        return answer(*this, std::move(request));
    });
    const auto over_tcp = [&] {
        fetcher::HttpRequest request;
        request.url = fmt::format("http://127.0.0.1:{}/metrics", ntohs(address.sin_port));
        return test::run_task(loop, http.send(std::move(request)));
    };
    const auto response = over_tcp();
    ASSERT_TRUE(response && *response);
    EXPECT_EQ((*response)->body, R"({"path":"/metrics"})");
    EXPECT_EQ(requests[0].peer.uid, static_cast<uid_t>(-1)) << "nobody, and so nobody with any right";
    server.reset();
    const auto refused = over_tcp();
    ASSERT_TRUE(refused);
    EXPECT_FALSE(*refused);
}

TEST_F(ControlServerTest, HandsOverTheRequestAndWhoMadeIt)
{
    start();
    const auto response = ask("POST", "/v1/some%20path?reference=a%2Fb:1&empty", "{\"body\":1}");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, R"({"path":"/v1/some path"})");
    const auto* type = response.headers.find("content-type");
    ASSERT_NE(type, nullptr);
    EXPECT_EQ(*type, "application/json");
    ASSERT_EQ(requests.size(), 1U);
    EXPECT_EQ(requests[0].method, "POST");
    EXPECT_EQ(requests[0].path, "/v1/some path");
    EXPECT_EQ(requests[0].body, "{\"body\":1}");
    EXPECT_EQ(requests[0].query, (std::map<std::string, std::string>{{"reference", "a/b:1"}, {"empty", ""}}));
    EXPECT_EQ(requests[0].peer.pid, ::getpid());
    EXPECT_EQ(requests[0].peer.uid, ::getuid());
    EXPECT_EQ(requests[0].peer.gid, ::getgid());
    EXPECT_EQ(ask("GET", "/bad").status, 418);
}

TEST_F(ControlServerTest, ABodyOfTheLargestSizeIsTakenAndNoLargerOne)
{
    start();
    EXPECT_EQ(ask("POST", "/", std::string(ControlServer::kMaxBody, 'x')).status, 200);
    EXPECT_EQ(requests.back().body.size(), ControlServer::kMaxBody);
    const auto refused = ask("POST", "/", std::string(ControlServer::kMaxBody + 1, 'x'));
    EXPECT_EQ(refused.status, 413);
    EXPECT_THAT(refused.body, HasSubstr("too large"));
    EXPECT_EQ(requests.size(), 1U) << "nobody is asked";
}

TEST_F(ControlServerTest, ASlowAnswerKeepsNobodyElseWaiting)
{
    start();
    SlowRequest slow{*this};
    EXPECT_EQ(ask("GET", "/quick").status, 200);
    EXPECT_FALSE(slow.response);
    waiting[0].set(true);
    EXPECT_EQ(slow.wait().body, "{\"slow\":true}");
}

TEST_F(ControlServerTest, AClientThatGoesAwayHarmsNobodyAndInterruptsNothing)
{
    start();
    {
        const SlowRequest slow{*this};
    }
    EXPECT_EQ(ask("GET", "/after").status, 200);
    EXPECT_EQ(finished, 0U);
    waiting[0].set(true);
    EXPECT_TRUE(test::run_until(loop, [&] { return finished == 1; }));
}

TEST_F(ControlServerTest, WhoWaitsWhenItStopsIsToldSo)
{
    start();
    SlowRequest slow{*this};
    server.reset();
    const auto response = slow.wait();
    EXPECT_EQ(response.status, 503);
    EXPECT_THAT(response.body, HasSubstr("sluiced is stopping"));
    EXPECT_FALSE(std::filesystem::exists(socket));
}

TEST_F(ControlServerTest, WhoWaitsWhenItIsRestartedIsToldToAskAgainAndTheSuccessorAnswersWhoCameSince)
{
    descriptors = keeper.next_life();
    start();
    std::optional<Response> slow;
    std::optional<Response> later;
    TaskScope scope{loop};
    auto request = request_of("GET", "/slow");
    scope.spawn(collect(slow, http.send(std::move(request))));
    ASSERT_TRUE(test::run_until(loop, [&] { return waiting.size() == 1; }));
    server->leave();
    auto next = request_of("GET", "/later");
    scope.spawn(collect(later, http.send(std::move(next))));
    ASSERT_TRUE(test::run_until(loop, [&] { return slow.has_value(); }));
    ASSERT_TRUE(*slow) << slow->error().text();
    EXPECT_EQ((*slow)->status, 503);
    EXPECT_EQ((*slow)->body, R"({"error":{"kind":"transient","message":"sluiced is being restarted; ask again"}})");
    server.reset();
    EXPECT_TRUE(std::filesystem::exists(socket));
    descriptors = keeper.next_life();
    start();
    ASSERT_TRUE(test::run_until(loop, [&] { return later.has_value(); }));
    ASSERT_TRUE(*later) << later->error().text();
    EXPECT_EQ((*later)->body, R"({"path":"/later"})");
}

TEST_F(ControlServerTest, ARequestThatArrivesWithTheStopIsNotBegun)
{
    start();
    const UniqueFd client{kAdoptFd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket.native().copy(address.sun_path, sizeof address.sun_path - 1);
    const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    ASSERT_EQ(::connect(client.get(), generic, sizeof address), 0);
    const auto say = [&](const std::string& path) {
        const auto text = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
        ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    };
    std::string heard;
    const auto hear = [&](const std::string& what) {
        std::array<char, 4096> buffer{};
        const auto got = ::recv(client.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        heard.append(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
        return heard.find(what) != std::string::npos;
    };
    say("/quick");
    ASSERT_TRUE(test::run_until(loop, [&] { return hear("/quick"); })) << heard;
    say("/slow"); // over the connection that is open already; its answer would wait
    server.reset();
    EXPECT_TRUE(hear("sluiced is stopping")) << heard;
    EXPECT_TRUE(waiting.empty()) << "nobody was asked";
}

TEST_F(ControlServerTest, LeavingTwiceIsLeavingOnce)
{
    descriptors = keeper.next_life();
    start();
    server->leave();
    const test::TempDir unrelated;
    const UniqueFd other{kAdoptFd, ::open(unrelated.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    server->leave();
    EXPECT_GE(::fcntl(other.get(), F_GETFD), 0) << "it has the number that the listener had";
}

TEST_F(ControlServerTest, ThePermissionsOfTheSocketAreThoseThatAreAskedFor)
{
    start(0640);

    struct stat info {};

    ASSERT_EQ(::stat(socket.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0640U);
}

TEST_F(ControlServerTest, OfTwoServersOnOneSocketTheSecondIsRefused)
{
    start();
    EXPECT_THAT(refusal(socket), HasSubstr("another sluiced answers on it"));
    EXPECT_EQ(ask("GET", "/still").status, 200);
}

TEST_F(ControlServerTest, AFileThatIsNoSocketIsLeftAlone)
{
    const auto file = dir.write("precious", "data");
    EXPECT_THAT(refusal(file), HasSubstr("bind"));
    EXPECT_EQ(std::filesystem::file_size(file), 4U);
    EXPECT_THAT(refusal(dir.path() / std::string(200, 'x')), HasSubstr("longer than"));
}

TEST(ControlErrors, EachKindHasItsStatusAndItsName)
{
    const std::vector<std::pair<ErrorKind, unsigned>> expected{
        {ErrorKind::kInvalid, 400},
        {ErrorKind::kDenied, 403},
        {ErrorKind::kNotFound, 404},
        {ErrorKind::kInternal, 500},
        {ErrorKind::kUnsupported, 501},
        {ErrorKind::kCorrupt, 502},
        {ErrorKind::kTransient, 503},
        {ErrorKind::kCancelled, 503},
        {ErrorKind::kTimeout, 504},
        {ErrorKind::kNoSpace, 507},
    };
    for (const auto& [kind, status] : expected) {
        EXPECT_EQ(http_status(kind), status);
        const auto json = to_json(Error{kind, "registry.test: busy"});
        EXPECT_EQ(json["kind"], to_string(kind));
        EXPECT_EQ(json["message"], "registry.test: busy");
    }
}

} // namespace
} // namespace sluice::daemon
