// SPDX-License-Identifier: Apache-2.0
// Over a real Unix socket, with a server of a few lines at the other end.
#include "base/mutex.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "tests/support/temp_dir.hpp"
#include "tools/control_client.hpp"

#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <latch>
#include <memory>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::tools {

namespace {

/// Answers every request with one status and body, and closes; until it is destroyed. Nobody is answered before `go`.
class OneAnswerServer {
public:
    OneAnswerServer(const std::string& path, int status, std::string body, std::shared_ptr<std::latch> go = {})
        : listener_{kAdoptFd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)}
        , go_{std::move(go)}
        , answer_{fmt::format(
              "HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status, body.size(), body
          )}
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
        if (::bind(listener_.get(), generic, sizeof address) != 0 || ::listen(listener_.get(), 8) != 0) {
            throw std::runtime_error{"cannot listen at " + path};
        }
        thread_ = std::thread{[this] { serve(); }};
    }

    OneAnswerServer(const OneAnswerServer&) = delete;
    OneAnswerServer& operator=(const OneAnswerServer&) = delete;

    ~OneAnswerServer()
    {
        ::shutdown(listener_.get(), SHUT_RDWR);
        thread_.join();
    }

    /// What has been asked so far, whole.
    std::vector<std::string> requests()
    {
        const MutexLock lock{mutex_};
        return requests_;
    }

private:
    void serve()
    {
        while (true) {
            const UniqueFd peer{kAdoptFd, ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
            if (!peer) {
                return;
            }
            std::string request;
            char buffer[4096];
            while (!is_whole(request)) {
                const auto n = ::read(peer.get(), buffer, sizeof buffer);
                if (n <= 0) {
                    break;
                }
                request.append(buffer, static_cast<std::size_t>(n));
            }
            {
                const MutexLock lock{mutex_};
                requests_.push_back(request);
            }
            if (go_) {
                go_->wait();
            }
            (void)!::send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
        }
    }

    static bool is_whole(const std::string& request)
    {
        const auto end = request.find("\r\n\r\n");
        if (end == std::string::npos) {
            return false;
        }
        constexpr std::string_view kLength = "Content-Length: ";
        const auto at = request.find(kLength);
        if (at == std::string::npos) {
            return true;
        }
        const auto digits = request.substr(at + kLength.size(), request.find("\r\n", at) - at - kLength.size());
        return request.size() >= end + 4 + parse_u64(digits).value_or(0);
    }

    UniqueFd listener_;
    std::shared_ptr<std::latch> go_;
    std::string answer_;
    Mutex mutex_;
    std::vector<std::string> requests_ SLUICE_GUARDED_BY(mutex_);
    std::thread thread_;
};

} // namespace

TEST(ControlClient, SendsAndReceivesJson)
{
    const test::TempDir temp;
    const auto path = (temp.path() / "s").string();
    OneAnswerServer server{path, 200, R"({"reference":"r/a:1"})"};
    ControlClient client{path};
    const auto answer = client.call("POST", "/v1/images", Json{{"reference", "r/a:1"}});
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_EQ((*answer)["reference"], "r/a:1");
    const auto again = client.call("DELETE", "/v1/images?reference=r%2Fa");
    ASSERT_TRUE(again) << again.error().text();

    const auto requests = server.requests();
    ASSERT_EQ(requests.size(), 2U);
    EXPECT_TRUE(requests[0].starts_with("POST /v1/images HTTP/1.1\r\n")) << requests[0];
    EXPECT_TRUE(requests[0].ends_with("\r\n\r\n{\"reference\":\"r/a:1\"}")) << requests[0];
    EXPECT_TRUE(requests[1].starts_with("DELETE /v1/images?reference=r%2Fa HTTP/1.1\r\n")) << requests[1];
}

TEST(ControlClient, WhoWaitsIsCalledWhileTheDaemonAnswersNobody)
{
    const test::TempDir temp;
    const auto path = (temp.path() / "s").string();
    const auto go = std::make_shared<std::latch>(1);
    const OneAnswerServer server{path, 200, R"({"blobs":[]})", go};
    ControlClient client{path};
    unsigned calls = 0;
    const auto answer = client.call("POST", "/v1/images", Json{{"reference", "r/a:1"}}, [&](const Json& blobs) {
        if (++calls == 1) {
            EXPECT_TRUE(blobs.is_null());
            go->count_down();
        }
    });
    EXPECT_TRUE(answer) << answer.error().text();
    EXPECT_GE(calls, 1U);
}

TEST(ControlClient, ShowsTheDaemonsError)
{
    const test::TempDir temp;
    const auto path = (temp.path() / "s").string();
    const OneAnswerServer server{path, 404, R"({"error":{"kind":"not-found","message":"no such tag"}})"};
    ControlClient client{path};
    const auto answer = client.call("GET", "/v1/blobs");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind(), ErrorKind::kNotFound);
    EXPECT_EQ(answer.error().text(), "no such tag");
}

TEST(ControlClient, SaysWhereNobodyAnswers)
{
    const test::TempDir temp;
    const auto path = (temp.path() / "nobody").string();
    ControlClient client{path};
    const auto answer = client.call("GET", "/v1/status");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind(), ErrorKind::kTransient) << "it can be started";
    EXPECT_EQ(
        answer.error().text(), "cannot reach sluiced at " + path + " (is it running?): No such file or directory"
    );
}

TEST(ControlClient, SaysWhoMayWhereThisUserMayNot)
{
    if (::geteuid() != 0) {
        GTEST_SKIP() << "wants to become another user";
    }
    const test::TempDir temp;
    std::filesystem::permissions(temp.path(), std::filesystem::perms::all);
    const auto path = (temp.path() / "s").string();
    const OneAnswerServer server{path, 200, "{}"};
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    std::string text;
    std::thread{[&] { // file systems look at a thread's own user
        ::syscall(SYS_setfsuid, 65534);
        ControlClient client{path};
        const auto answer = client.call("GET", "/v1/status");
        text = answer ? "" : answer.error().text();
    }}
        .join();
    EXPECT_NE(text.find("control-group"), std::string::npos) << text;
    EXPECT_NE(text.find("Permission denied"), std::string::npos) << text;
}

TEST(ControlClient, RefusesNamesThatNoSocketCanHave)
{
    for (const auto& name : {std::string{}, "/" + std::string(107, 's')}) {
        ControlClient client{name};
        const auto answer = client.call("GET", "/v1/status");
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().kind(), ErrorKind::kInvalid) << answer.error().text();
    }
}

} // namespace sluice::tools
