// SPDX-License-Identifier: Apache-2.0
#include "fetcher/http_client.hpp"
#include "tests/unit/fetcher/fetch_fixture.hpp"

#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>

namespace sluice::fetcher {
namespace {

using test::Fault;
using ::testing::HasSubstr;

class HttpClientTest : public FetchTest {
protected:
    Result<HttpResponse> send(HttpRequest request)
    {
        HttpClient client{*loop, {}};
        auto response = test::run_task(*loop, client.send(std::move(request)));
        return response ? std::move(*response) : fail(ErrorKind::kInternal, "did not end");
    }

    HttpRequest get(const std::string& path)
    {
        HttpRequest request;
        request.url = "http://" + registry->host() + path;
        return request;
    }
};

TEST_F(HttpClientTest, AnyStatusIsAnAnswer)
{
    registry->script("/x", Fault{.status = 418, .headers = {"X-Tea: pot"}, .body = "short and stout"});
    const auto response = send(get("/x"));
    ASSERT_TRUE(response) << response.error().text();
    EXPECT_EQ(response->status, 418);
    EXPECT_EQ(response->body, "short and stout");
    EXPECT_EQ(*response->headers.find("x-tea"), "pot");
}

TEST_F(HttpClientTest, MethodsHeadersAndBodiesArriveAsGiven)
{
    for (const auto* method : {"GET", "HEAD", "POST", "PUT", "DELETE"}) {
        auto request = get("/x?a=b");
        request.method = method;
        request.headers = {"X-Test: yes"};
        const bool with_body = std::string{method}.starts_with('P');
        request.body = with_body ? "body" : "";
        ASSERT_TRUE(send(request)) << method;
        const auto seen = registry->requests().back();
        EXPECT_EQ(seen.method, method);
        EXPECT_EQ(seen.query, "a=b");
        EXPECT_EQ(seen.header("x-test"), "yes");
        EXPECT_EQ(seen.body, request.body);
    }
    auto empty = get("/x");
    empty.method = "POST";
    ASSERT_TRUE(send(empty));
    EXPECT_EQ(registry->requests().back().header("content-length"), "0");
}

TEST_F(HttpClientTest, RedirectsAreNotFollowed)
{
    registry->script("/x", Fault{.status = 302, .headers = {"Location: /y"}});
    EXPECT_EQ(send(get("/x"))->status, 302);
    EXPECT_EQ(registry->requests().size(), 1U);
}

TEST_F(HttpClientTest, ABodyBeyondTheLimitIsAnError)
{
    registry->script("/x", Fault{.status = 200, .body = std::string(1001, 'x')}, 2);
    auto request = get("/x");
    request.limit = 1000;
    EXPECT_EQ(send(request).error().kind(), ErrorKind::kInvalid);
    request.limit = 1001;
    EXPECT_EQ(send(request)->body.size(), 1001U);
}

TEST_F(HttpClientTest, FailuresAreKnownByKind)
{
    registry->script("/cut", Fault{.status = 200, .body = "twelve bytes", .truncate_after = 3});
    EXPECT_EQ(send(get("/cut")).error().kind(), ErrorKind::kTransient);
    registry->script("/hang", Fault{.hang = true});
    auto hanging = get("/hang");
    hanging.deadline = Deadline::after(milliseconds{50});
    EXPECT_EQ(send(hanging).error().kind(), ErrorKind::kTimeout);
    HttpRequest bad;
    bad.url = "ftp://127.0.0.1/x";
    EXPECT_EQ(send(bad).error().kind(), ErrorKind::kInvalid);
    const auto host = storage->host();
    storage.reset();
    bad.url = "http://" + host + "/x?token=hush";
    const auto refused = send(bad);
    storage.emplace(&fake_sha256);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kTransient);
    EXPECT_THAT(refused.error().text(), HasSubstr(host));
    EXPECT_EQ(refused.error().text().find("hush"), std::string::npos);
}

TEST_F(HttpClientTest, AStalledTransferEndsBeforeItsDeadline)
{
    registry->script("/x", Fault{.hang = true});
    HttpOptions impatient;
    impatient.stall_timeout = milliseconds{1000};
    HttpClient client{*loop, impatient};
    const auto response = test::run_task(*loop, client.send(get("/x")));
    ASSERT_TRUE(response);
    ASSERT_FALSE(*response);
    EXPECT_EQ(response->error().kind(), ErrorKind::kTransient);
}

TEST_F(HttpClientTest, AProxyIsNotAskedForThisMachine)
{
    const auto proxy = storage->host();
    ::setenv("http_proxy", ("http://" + proxy).c_str(), 1); // NOLINT(concurrency-mt-unsafe): read in this thread only
    const auto response = send(get("/x"));
    ::unsetenv("http_proxy"); // NOLINT(concurrency-mt-unsafe)
    ASSERT_TRUE(response) << response.error().text();
    EXPECT_EQ(registry->requests().size(), 1U);
    EXPECT_TRUE(storage->requests().empty());
}

TEST_F(HttpClientTest, SpeaksOverAUnixSocket)
{
    const test::TempDir directory;
    const auto path = (directory.path() / "control.sock").string();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ASSERT_LT(path.size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const UniqueFd listener{kAdoptFd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ASSERT_EQ(::bind(listener.get(), static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof address), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    std::string seen;
    std::thread server{[&] {
        const UniqueFd fd{kAdoptFd, ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        test::FakeHttpStream stream{fd.get()};
        if (const auto request = stream.read_request()) {
            seen = request->path;
            (void)stream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }};
    HttpRequest request;
    request.url = "http://sluiced/v1/status";
    request.unix_socket = path;
    const auto response = send(request);
    ::shutdown(listener.get(), SHUT_RDWR);
    server.join();
    ASSERT_TRUE(response) << response.error().text();
    EXPECT_EQ(response->body, "ok");
    EXPECT_EQ(seen, "/v1/status");
    request.unix_socket = directory.path() / "none.sock";
    EXPECT_THAT(send(request).error().text(), HasSubstr("none.sock"));
}

} // namespace
} // namespace sluice::fetcher
