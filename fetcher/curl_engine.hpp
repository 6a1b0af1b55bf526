// SPDX-License-Identifier: Apache-2.0
//
// libcurl's multi_socket interface in our event loop. Two rules keep it calm: handlers only store
// things while libcurl is on the stack, and they act in on_turn(), when it is not; and destroying a
// Transfer cancels it, at any time outside libcurl.
#pragma once

#include "base/event_loop.hpp"
#include "fetcher/curl_handle.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::fetcher {

class CurlEngine;

/// What a transfer's owner is told.
class TransferHandler {
public:
    enum class Data : std::uint8_t {
        kTaken, ///< all of it
        kPause, ///< nothing of it; it comes again after Transfer::resume()
        kAbort, ///< ends the transfer with CURLE_WRITE_ERROR
    };

    TransferHandler() = default;
    TransferHandler(const TransferHandler&) = delete;
    TransferHandler& operator=(const TransferHandler&) = delete;
    virtual ~TransferHandler() = default;

    // Inside libcurl: these may store, and nothing else.
    virtual void on_header(std::string_view line) noexcept = 0;
    virtual Data on_data(std::span<const std::byte> data) noexcept = 0;

    /// Fills `space` with what is to be sent; 0 at the end; nothing aborts.
    virtual std::optional<std::size_t> on_read(std::span<std::byte>) noexcept { return 0; }

    /// Starts the upload anew from `offset`; false when that is impossible.
    virtual bool on_seek(std::uint64_t) noexcept { return false; }

    /// Outside libcurl, after a turn in which any of the above was called, and at the end: `done`
    /// is the outcome then, and this is the last call. May destroy the transfer and start others,
    /// but not destroy the engine.
    virtual void on_turn(std::optional<CURLcode> done) = 0;
};

/// One request. Set it up through easy(), then start(). Loop's thread.
class Transfer {
public:
    Transfer(CurlEngine& engine, TransferHandler& handler);
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    ~Transfer();

    [[nodiscard]] CurlEasy& easy() noexcept { return easy_; }

    /// CURLE_OK, or why it cannot even begin; on_turn() is not called then.
    [[nodiscard]] CURLcode start();

    /// Goes on after Data::kPause. on_data() may be called before it returns.
    void resume();

private:
    friend class CurlEngine;

    static std::size_t header_callback(char* data, std::size_t size, std::size_t count, void* self) noexcept;
    static std::size_t write_callback(char* data, std::size_t size, std::size_t count, void* self) noexcept;
    static std::size_t read_callback(char* data, std::size_t size, std::size_t count, void* self) noexcept;
    static int seek_callback(void* self, curl_off_t offset, int origin) noexcept;

    CurlEngine& engine_;
    TransferHandler& handler_;
    CurlEasy easy_;
    std::optional<CURLcode> done_;
    bool running_ = false;
    bool queued_ = false;
};

/// All transfers, their connections and sockets. Must outlive its transfers.
class CurlEngine {
public:
    /// Throws std::runtime_error.
    CurlEngine(EventLoop& loop, unsigned connections_per_host);
    CurlEngine(const CurlEngine&) = delete;
    CurlEngine& operator=(const CurlEngine&) = delete;
    ~CurlEngine();

    [[nodiscard]] EventLoop& loop() noexcept { return loop_; }

private:
    friend class Transfer;
    class InLibcurl;

    [[nodiscard]] CURLcode add(Transfer& transfer);
    void remove(Transfer& transfer) noexcept;
    void resume(Transfer& transfer);
    void touch(Transfer& transfer) noexcept;

    void act(curl_socket_t socket, int events);
    void take_finished();
    void run_turns();
    void run_turns_later();

    static int socket_callback(CURL* easy, curl_socket_t socket, int what, void* self, void* unused) noexcept;
    static int timer_callback(CURLM* multi, long timeout_ms, void* self) noexcept;
    void watch(curl_socket_t socket, int what);
    void set_timer(long timeout_ms);

    EventLoop& loop_;
    std::shared_ptr<CurlEngine*> alive_; ///< what deferred functions hold weakly
    Timer timer_;
    std::unordered_map<curl_socket_t, std::unique_ptr<IoSource>> sockets_;
    std::vector<Transfer*> turns_; ///< whose on_turn() is due; entries of destroyed ones are null
    bool in_libcurl_ = false;
    bool timeout_due_ = false; ///< libcurl asked for its zero timeout
    bool later_ = false;
    CurlPtr<CURLM> multi_; // last: closing it calls back
};

} // namespace sluice::fetcher
