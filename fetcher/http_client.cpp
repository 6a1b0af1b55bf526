// SPDX-License-Identifier: Apache-2.0
#include "fetcher/http_client.hpp"

#include "base/text.hpp"
#include "fetcher/address_guard.hpp"
#include "fetcher/curl_engine.hpp"
#include "fetcher/curl_setup.hpp"
#include "fetcher/url.hpp"

#include <coroutine>
#include <fmt/format.h>
#include <optional>
#include <unistd.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr long kUploadBuffer = 1024 * 1024;
constexpr long kUploadStallSeconds = 120; ///< a registry hashes what it was sent before it answers

/// One request and its answer. Lives in the frame of send().
class HttpTransfer final : private TransferHandler {
public:
    HttpTransfer(CurlEngine& engine, const HttpOptions& options, HttpRequest request)
        : request_{std::move(request)}, guard_{options, request_.url, request_.sent_by}, transfer_{engine, *this}
    {
        set_up(options);
        if (guard_.refused()) {
            outcome_ = fail(guard_.refusal(what()));
        } else if (const auto code = transfer_.start(); code != CURLE_OK) {
            outcome_ = fail(curl_error(code, what()));
        }
    }

    [[nodiscard]] bool await_ready() const noexcept { return outcome_.has_value(); }

    void await_suspend(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }

    Result<HttpResponse> await_resume() { return std::move(*outcome_); }

private:
    void set_up(const HttpOptions& options)
    {
        auto& easy = transfer_.easy();
        set_up_request(easy, options, request_.url, request_.headers, request_.deadline);
        if (request_.method == "HEAD") {
            easy.set(CURLOPT_NOBODY, 1L);
        } else if (request_.upload) {
            easy.set(CURLOPT_UPLOAD, 1L);
            easy.set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request_.upload->size));
            easy.set(CURLOPT_UPLOAD_BUFFERSIZE, kUploadBuffer);
            easy.set(CURLOPT_LOW_SPEED_TIME, kUploadStallSeconds);
            easy.set(CURLOPT_CUSTOMREQUEST, request_.method);
        } else if (!request_.body.empty() || request_.method == "POST" || request_.method == "PUT") {
            easy.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
            easy.set(CURLOPT_POSTFIELDS, request_.body.c_str());
            easy.set(CURLOPT_CUSTOMREQUEST, request_.method);
        } else if (request_.method != "GET") {
            easy.set(CURLOPT_CUSTOMREQUEST, request_.method);
        }
        if (!request_.unix_socket.empty()) {
            easy.set(CURLOPT_UNIX_SOCKET_PATH, request_.unix_socket);
            easy.set(CURLOPT_PROXY, "");
        } else {
            guard_.install(easy);
        }
    }

    [[nodiscard]] std::string what() const
    {
        const auto place = request_.unix_socket.empty() ? std::string{} : request_.unix_socket + ": ";
        return fmt::format("{}{} {}", place, request_.method, public_url(request_.url));
    }

    void on_header(std::string_view line) noexcept override { response_.headers.add_line(line); }

    Data on_data(std::span<const std::byte> data) noexcept override
    {
        if (data.size() > request_.limit - response_.body.size()) {
            too_long_ = true;
            return Data::kAbort;
        }
        response_.body.append(as_text(data));
        return Data::kTaken;
    }

    std::optional<std::size_t> on_read(std::span<std::byte> space) noexcept override
    {
        const auto count =
            static_cast<std::size_t>(std::min<std::uint64_t>(space.size(), request_.upload->size - sent_));
        const auto got = ::pread(request_.upload->fd, space.data(), count, static_cast<off_t>(sent_));
        if (got < 0 || (got == 0 && count > 0)) {
            read_errno_ = got < 0 ? errno : EIO;
            return std::nullopt;
        }
        sent_ += static_cast<std::uint64_t>(got);
        return static_cast<std::size_t>(got);
    }

    bool on_seek(std::uint64_t offset) noexcept override
    {
        sent_ = offset;
        return request_.upload && offset <= request_.upload->size;
    }

    void on_turn(std::optional<CURLcode> done) override
    {
        if (request_.upload && request_.upload->progress && sent_ != std::exchange(told_, sent_)) {
            request_.upload->progress(sent_); // must not cancel us: its owner awaits the end
        }
        if (!done) {
            return;
        }
        outcome_ = conclude(*done);
        if (waiter_) {
            std::exchange(waiter_, {}).resume(); // this object may be gone after it
        }
    }

    Result<HttpResponse> conclude(CURLcode code)
    {
        if (too_long_) {
            return fail(
                ErrorKind::kInvalid,
                fmt::format("{}: the answer is longer than {}", what(), format_size(request_.limit))
            );
        }
        if (read_errno_ != 0) {
            return fail_errno(read_errno_, fmt::format("{}: cannot read what is to be sent", what()));
        }
        if (code != CURLE_OK && guard_.refused()) {
            return fail(guard_.refusal(what()));
        }
        if (code == CURLE_OPERATION_TIMEDOUT && request_.deadline.passed()) {
            return fail(ErrorKind::kTimeout, fmt::format("{}: no answer in time", what()));
        }
        if (code != CURLE_OK) {
            return fail(curl_error(transfer_.easy().meaning(code), what()));
        }
        response_.status = transfer_.easy().status();
        response_.network = guard_.peer();
        return std::move(response_);
    }

    HttpRequest request_;
    HttpResponse response_;
    std::uint64_t sent_ = 0;
    std::uint64_t told_ = 0;
    int read_errno_ = 0;
    bool too_long_ = false;
    std::optional<Result<HttpResponse>> outcome_;
    std::coroutine_handle<> waiter_;
    AddressGuard guard_;
    Transfer transfer_; // last: it refers to the request
};

} // namespace

HttpClient::HttpClient(EventLoop& loop, HttpOptions options)
    : options_{std::move(options)}, engine_{std::make_unique<CurlEngine>(loop, options_.connections_per_host)}
{}

HttpClient::~HttpClient() = default;

Task<Result<HttpResponse>> HttpClient::send(HttpRequest request)
{
    HttpTransfer transfer{*engine_, options_, std::move(request)};
    auto outcome = co_await transfer;
    co_return outcome;
}

} // namespace sluice::fetcher
