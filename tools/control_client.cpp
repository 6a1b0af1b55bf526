// SPDX-License-Identifier: Apache-2.0
#include "tools/control_client.hpp"

#include "base/event_loop.hpp"
#include "base/task.hpp"
#include "fetcher/http_client.hpp"
#include "tools/socket_path.hpp"

#include <cerrno>
#include <chrono>
#include <fmt/format.h>
#include <optional>

namespace sluice::tools {

namespace {

constexpr milliseconds kPollInterval{500};
constexpr milliseconds kTurn{200};

/// A compressed image is downloaded whole before the daemon answers.
constexpr milliseconds kPatience = std::chrono::hours{24};

fetcher::HttpOptions control_options()
{
    fetcher::HttpOptions options;
    options.user_agent = "sluicectl";
    options.stall_timeout = kPatience; // silence is the normal state of a request that waits for a download
    return options;
}

/// Why nobody can be reached at `socket`. libcurl's errors leave out what the kernel has said.
Error explain(const std::string& socket, const Error& error)
{
    switch (const int code = probe_socket(socket)) {
    case 0:
        return Error{error.kind(), fmt::format("sluiced at {}: {}", socket, error.text()), error.code()};
    case EACCES:
        return Error::from_errno(
            code, fmt::format("cannot reach sluiced at {}: for root, and to look for members of control-group", socket)
        );
    case ENOENT:
    case ECONNREFUSED: // it can be started
        return Error{
            ErrorKind::kTransient,
            Error::from_errno(code, fmt::format("cannot reach sluiced at {} (is it running?)", socket)).text(),
            code};
    default:
        return Error::from_errno(code, fmt::format("cannot reach sluiced at {}", socket));
    }
}

} // namespace

class ControlClient::Transport {
public:
    explicit Transport(std::string socket) : socket_{std::move(socket)}, client_{loop_, control_options()} {}

    Result<fetcher::HttpResponse> send(fetcher::HttpRequest request, const OnBlobs& on_blobs)
    {
        std::optional<Result<fetcher::HttpResponse>> answer;
        TaskScope scope{loop_};
        scope.spawn(deliver(client_, std::move(request), answer));
        if (on_blobs) {
            scope.spawn(poll(on_blobs));
            scope.spawn(tick(on_blobs));
        }
        while (!answer) {
            loop_.run_once(kTurn);
        }
        return std::move(*answer);
    }

    [[nodiscard]] fetcher::HttpRequest request(const std::string& method, const std::string& path) const
    {
        fetcher::HttpRequest request;
        request.method = method;
        request.url = "http://sluiced" + path;
        request.unix_socket = socket_;
        request.limit = kMaxControlAnswer;
        request.deadline = Deadline::after(kPatience);
        return request;
    }

private:
    static Task<void> deliver(
        fetcher::HttpClient& client, fetcher::HttpRequest request, std::optional<Result<fetcher::HttpResponse>>& out
    )
    {
        auto response = co_await client.send(std::move(request));
        out.emplace(std::move(response));
    }

    /// Also when the daemon answers nobody.
    Task<void> tick(OnBlobs on_blobs)
    {
        while (true) {
            co_await sleep_for(loop_, kPollInterval);
            on_blobs(Json{});
        }
    }

    Task<void> poll(OnBlobs on_blobs)
    {
        while (true) {
            co_await sleep_for(loop_, kPollInterval);
            auto question = request("GET", "/v1/blobs");
            auto response = co_await client_.send(std::move(question));
            if (!response) {
                continue; // the request that matters will tell
            }
            const auto blobs = parse_control_answer(response->status, response->body);
            if (blobs) {
                on_blobs(*blobs);
            }
        }
    }

    std::string socket_;
    EventLoop loop_;
    fetcher::HttpClient client_;
};

ControlClient::ControlClient(std::string socket)
    : socket_{std::move(socket)}, transport_{std::make_unique<Transport>(socket_)}
{}

ControlClient::~ControlClient() = default;

Result<Json>
ControlClient::call(const std::string& method, const std::string& path, const Json& body, const OnBlobs& on_blobs)
{
    if (const auto fault = socket_path_fault(socket_); !fault.empty()) {
        return fail(ErrorKind::kInvalid, fmt::format("the name of the control socket {}", fault));
    }
    auto request = transport_->request(method, path);
    if (!body.is_null()) {
        request.headers.emplace_back("Content-Type: application/json");
        request.body = body.dump();
    }
    const auto response = transport_->send(std::move(request), on_blobs);
    if (!response) {
        return fail(explain(socket_, response.error()));
    }
    return parse_control_answer(response->status, response->body);
}

} // namespace sluice::tools
