// SPDX-License-Identifier: Apache-2.0
#include "fetcher/curl_engine.hpp"

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <sys/epoll.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr long kCachedConnections = 64;

std::uint32_t to_epoll(int what) noexcept
{
    const std::uint32_t in = (what & CURL_POLL_IN) != 0 ? EPOLLIN : 0U;
    return in | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0U);
}

int to_select(std::uint32_t events) noexcept
{
    int select = 0;
    if ((events & (EPOLLIN | EPOLLHUP)) != 0) {
        select |= CURL_CSELECT_IN;
    }
    if ((events & EPOLLOUT) != 0) {
        select |= CURL_CSELECT_OUT;
    }
    if ((events & EPOLLERR) != 0) {
        select |= CURL_CSELECT_ERR;
    }
    return select;
}

std::span<std::byte> byte_span(char* data, std::size_t size) noexcept
{
    return {static_cast<std::byte*>(static_cast<void*>(data)), size};
}

} // namespace

/// Marks the stretch of the stack in which libcurl may call us.
class CurlEngine::InLibcurl {
public:
    explicit InLibcurl(CurlEngine& engine) noexcept : engine_{engine}
    {
        assert(!engine.in_libcurl_);
        engine_.in_libcurl_ = true;
    }

    InLibcurl(const InLibcurl&) = delete;
    InLibcurl& operator=(const InLibcurl&) = delete;

    ~InLibcurl() { engine_.in_libcurl_ = false; }

private:
    CurlEngine& engine_;
};

Transfer::Transfer(CurlEngine& engine, TransferHandler& handler) : engine_{engine}, handler_{handler}
{
    easy_.set(CURLOPT_PRIVATE, static_cast<void*>(this));
    easy_.set(CURLOPT_NOSIGNAL, 1L);
    // Without it, ending a transfer whose host is still being resolved joins the resolver's thread, and the loop waits
    // for as long as the name servers are silent. With it the thread is left to end by itself.
    easy_.set(CURLOPT_QUICK_EXIT, 1L);
    easy_.set(CURLOPT_HEADERFUNCTION, &Transfer::header_callback);
    easy_.set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    easy_.set(CURLOPT_WRITEFUNCTION, &Transfer::write_callback);
    easy_.set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    easy_.set(CURLOPT_READFUNCTION, &Transfer::read_callback);
    easy_.set(CURLOPT_READDATA, static_cast<void*>(this));
    easy_.set(CURLOPT_SEEKFUNCTION, &Transfer::seek_callback);
    easy_.set(CURLOPT_SEEKDATA, static_cast<void*>(this));
}

Transfer::~Transfer()
{
    engine_.remove(*this);
}

CURLcode Transfer::start()
{
    assert(!running_);
    const auto setup = easy_.finish_setup();
    return setup == CURLE_OK ? engine_.add(*this) : setup;
}

void Transfer::resume()
{
    if (running_) {
        engine_.resume(*this);
    }
}

std::size_t Transfer::header_callback(char* data, std::size_t size, std::size_t count, void* self) noexcept
{
    auto& transfer = *static_cast<Transfer*>(self);
    transfer.engine_.touch(transfer);
    transfer.handler_.on_header({data, size * count});
    return size * count;
}

std::size_t Transfer::write_callback(char* data, std::size_t size, std::size_t count, void* self) noexcept
{
    auto& transfer = *static_cast<Transfer*>(self);
    transfer.engine_.touch(transfer);
    switch (transfer.handler_.on_data(byte_span(data, size * count))) {
    case TransferHandler::Data::kTaken:
        return size * count;
    case TransferHandler::Data::kPause:
        return CURL_WRITEFUNC_PAUSE;
    case TransferHandler::Data::kAbort:
        break;
    }
    return CURL_WRITEFUNC_ERROR;
}

std::size_t Transfer::read_callback(char* data, std::size_t size, std::size_t count, void* self) noexcept
{
    auto& transfer = *static_cast<Transfer*>(self);
    transfer.engine_.touch(transfer);
    const auto sent = transfer.handler_.on_read(byte_span(data, size * count));
    return sent ? *sent : static_cast<std::size_t>(CURL_READFUNC_ABORT);
}

int Transfer::seek_callback(void* self, curl_off_t offset, int origin) noexcept
{
    auto& transfer = *static_cast<Transfer*>(self);
    const bool done =
        origin == SEEK_SET && offset >= 0 && transfer.handler_.on_seek(static_cast<std::uint64_t>(offset));
    return done ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

CurlEngine::CurlEngine(EventLoop& loop, unsigned connections_per_host)
    : loop_{loop}
    , alive_{std::make_shared<CurlEngine*>(this)}
    , timer_{loop, [this] { act(CURL_SOCKET_TIMEOUT, 0); }, "transfers: timer"}
{
    init_curl();
    multi_.reset(curl_multi_init());
    if (!multi_) {
        throw std::runtime_error{"cannot make a curl multi handle"};
    }
    auto worst = CURLM_OK;
    const auto set = [&](CURLMoption option, auto value) {
        const auto outcome = curl_multi_setopt(multi_.get(), option, value);
        worst = worst == CURLM_OK ? outcome : worst;
    };
    set(CURLMOPT_SOCKETFUNCTION, &CurlEngine::socket_callback);
    set(CURLMOPT_SOCKETDATA, static_cast<void*>(this));
    set(CURLMOPT_TIMERFUNCTION, &CurlEngine::timer_callback);
    set(CURLMOPT_TIMERDATA, static_cast<void*>(this));
    set(CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
    set(CURLMOPT_MAX_HOST_CONNECTIONS, static_cast<long>(connections_per_host));
    set(CURLMOPT_MAXCONNECTS, std::max(kCachedConnections, static_cast<long>(connections_per_host)));
    if (worst != CURLM_OK) {
        throw std::runtime_error{std::string{"cannot set up curl: "} + curl_multi_strerror(worst)};
    }
}

CurlEngine::~CurlEngine()
{
    assert(!in_libcurl_);
}

CURLcode CurlEngine::add(Transfer& transfer)
{
    assert(loop_.in_loop_thread());
    {
        const InLibcurl mark{*this};
        if (curl_multi_add_handle(multi_.get(), transfer.easy_.raw()) != CURLM_OK) {
            return CURLE_FAILED_INIT;
        }
        transfer.running_ = true;
        // libcurl asks to be called back at once. Doing so here sends the request off one turn of the loop earlier.
        if (std::exchange(timeout_due_, false)) {
            int running = 0;
            curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
        }
    }
    take_finished();
    if (!turns_.empty()) {
        run_turns_later();
    }
    return CURLE_OK;
}

void CurlEngine::remove(Transfer& transfer) noexcept
{
    assert(loop_.in_loop_thread());
    if (std::exchange(transfer.queued_, false)) {
        std::ranges::replace(turns_, &transfer, static_cast<Transfer*>(nullptr));
    }
    if (std::exchange(transfer.running_, false)) {
        const InLibcurl mark{*this};
        curl_multi_remove_handle(multi_.get(), transfer.easy_.raw());
    }
}

void CurlEngine::resume(Transfer& transfer)
{
    {
        const InLibcurl mark{*this};
        curl_easy_pause(transfer.easy_.raw(), CURLPAUSE_CONT); // a failure ends the transfer, which tells of it
    }
    run_turns_later();
}

void CurlEngine::touch(Transfer& transfer) noexcept
{
    if (!std::exchange(transfer.queued_, true)) {
        turns_.push_back(&transfer);
    }
}

void CurlEngine::act(curl_socket_t socket, int events)
{
    {
        const InLibcurl mark{*this};
        int running = 0;
        curl_multi_socket_action(multi_.get(), socket, events, &running);
    }
    take_finished();
    run_turns();
}

void CurlEngine::take_finished()
{
    for (;;) {
        int left = 0;
        const auto* message = curl_multi_info_read(multi_.get(), &left);
        if (message == nullptr) {
            return;
        }
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        const auto outcome = message->data.result; // the message dies with the removal below
        Transfer* transfer = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        transfer->running_ = false;
        transfer->done_ = outcome;
        const InLibcurl mark{*this};
        curl_multi_remove_handle(multi_.get(), transfer->easy_.raw());
        touch(*transfer);
    }
}

void CurlEngine::run_turns()
{
    // By index: handlers start and destroy transfers.
    for (std::size_t i = 0; i < turns_.size(); ++i) {
        auto* transfer = std::exchange(turns_[i], nullptr);
        if (transfer != nullptr) {
            transfer->queued_ = false;
            transfer->handler_.on_turn(transfer->done_);
        }
    }
    turns_.clear();
}

void CurlEngine::run_turns_later()
{
    if (std::exchange(later_, true)) {
        return;
    }
    loop_.defer([weak = std::weak_ptr<CurlEngine*>{alive_}] {
        if (const auto engine = weak.lock()) {
            (*engine)->later_ = false;
            (*engine)->take_finished();
            (*engine)->run_turns();
        }
    });
}

int CurlEngine::socket_callback(CURL*, curl_socket_t socket, int what, void* self, void*) noexcept
{
    try {
        static_cast<CurlEngine*>(self)->watch(socket, what);
        return 0;
    } catch (const std::exception&) {
        return -1; // no descriptor or memory for the watch: libcurl fails its transfers
    }
}

void CurlEngine::watch(curl_socket_t socket, int what)
{
    if (what == CURL_POLL_REMOVE) {
        sockets_.erase(socket);
        return;
    }
    const auto events = to_epoll(what);
    if (const auto it = sockets_.find(socket); it != sockets_.end()) {
        it->second->set_events(events);
        return;
    }
    sockets_[socket] = std::make_unique<IoSource>(
        loop_, socket, events, [this, socket](std::uint32_t ready) { act(socket, to_select(ready)); }, "transfer"
    );
}

int CurlEngine::timer_callback(CURLM*, long timeout_ms, void* self) noexcept
{
    try {
        static_cast<CurlEngine*>(self)->set_timer(timeout_ms);
        return 0;
    } catch (const std::exception&) {
        return -1;
    }
}

void CurlEngine::set_timer(long timeout_ms)
{
    if (timeout_ms != 0) {
        timeout_due_ = false;
        timeout_ms < 0 ? timer_.cancel() : timer_.arm(milliseconds{timeout_ms});
        return;
    }
    // "At once" must not wait for a timer's granularity: each new transfer begins so.
    timer_.cancel();
    if (std::exchange(timeout_due_, true)) {
        return;
    }
    loop_.defer([weak = std::weak_ptr<CurlEngine*>{alive_}] {
        const auto engine = weak.lock();
        if (engine && std::exchange((*engine)->timeout_due_, false)) {
            (*engine)->act(CURL_SOCKET_TIMEOUT, 0);
        }
    });
}

} // namespace sluice::fetcher
