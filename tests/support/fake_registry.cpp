// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_registry.hpp"

#include "base/text.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdexcept>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace sluice::test {

namespace {

constexpr int kBacklog = 1024;
constexpr int kPauseMs = 2;

UniqueFd check_fd(int fd, const char* what)
{
    if (fd < 0) {
        throw std::system_error{errno, std::system_category(), what};
    }
    return {kAdoptFd, fd};
}

sockaddr* as_address(sockaddr_in& address) noexcept
{
    return static_cast<sockaddr*>(static_cast<void*>(&address));
}

void reset_connection(int fd)
{
    const linger abort{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

} // namespace

FakeRegistry::FakeRegistry(Sha256Function sha256, std::uint16_t port)
    : sha256_{sha256}
    , listener_{check_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")}
    , stop_{check_fd(::eventfd(0, EFD_CLOEXEC), "eventfd")}
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socklen_t size = sizeof address;
    const int yes = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(listener_.get(), as_address(address), size) != 0 || ::listen(listener_.get(), kBacklog) != 0 ||
        ::getsockname(listener_.get(), as_address(address), &size) != 0) {
        throw std::system_error{errno, std::system_category(), "fake registry"};
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread{[this] { accept_all(); }};
}

FakeRegistry::~FakeRegistry()
{
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof one);
    acceptor_.join();
    {
        const MutexLock lock{mutex_};
        stopping_ = true;
        for (const auto& connection : connections_) {
            ::shutdown(connection.fd.get(), SHUT_RDWR);
        }
    }
    changed_.notify_all();
    for (auto& connection : connections_) {
        connection.thread.join();
    }
}

std::string FakeRegistry::host() const
{
    return fmt::format("127.0.0.1:{}", port_);
}

void FakeRegistry::accept_all()
{
    for (;;) {
        std::array<pollfd, 2> ready{{{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
        if (::poll(ready.data(), ready.size(), -1) < 0 || ready[1].revents != 0) {
            return;
        }
        UniqueFd fd{kAdoptFd, ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        if (!fd) {
            continue;
        }
        const int yes = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        const MutexLock lock{mutex_};
        for (auto it = connections_.begin(); it != connections_.end();) {
            if (it->ended) {
                it->thread.join();
                it = connections_.erase(it);
            } else {
                ++it;
            }
        }
        ++accepted_;
        auto& connection = connections_.emplace_back();
        connection.fd = std::move(fd);
        connection.thread = std::thread{[this, &connection] { serve(connection); }};
    }
}

void FakeRegistry::serve(Connection& connection)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE); // sendfile() has no flag for it
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    FakeHttpStream stream{connection.fd.get()};
    for (;;) {
        auto request = stream.read_request();
        if (!request) {
            break;
        }
        {
            const MutexLock lock{mutex_};
            log_.push_back(*request);
        }
        if (!answer_one(stream, connection.fd.get(), *request)) {
            break;
        }
    }
    const MutexLock lock{mutex_};
    connection.fd.reset(); // under the lock: the destructor shuts it down
    connection.ended = true;
}

std::optional<Fault> FakeRegistry::next_fault(const FakeHttpRequest& request)
{
    const MutexLock lock{mutex_};
    for (auto it = scripts_.begin(); it != scripts_.end(); ++it) {
        if (request.path.find(it->path_part) == std::string::npos) {
            continue;
        }
        auto fault = it->fault;
        ++struck_;
        if (it->times != kForever && --it->times == 0) {
            scripts_.erase(it);
        }
        return fault;
    }
    return std::nullopt;
}

/// False when the registry ends meanwhile.
bool FakeRegistry::wait_out(const Fault& fault)
{
    const MutexLock lock{mutex_};
    if (fault.hold) {
        const auto seen = releases_;
        ++held_;
        while (!stopping_ && releases_ == seen) {
            changed_.wait(mutex_);
        }
        --held_;
    }
    while (fault.hang && !stopping_) {
        changed_.wait(mutex_);
    }
    return !stopping_;
}

bool FakeRegistry::answer_one(FakeHttpStream& stream, int fd, const FakeHttpRequest& request)
{
    const auto fault = next_fault(request).value_or(Fault{});
    if (!wait_out(fault)) {
        return false;
    }
    if (const auto delay = delay_.load(); delay.count() > 0) {
        std::this_thread::sleep_for(delay);
    }
    if (fault.reset || fault.reset_at_end) {
        reset_connection(fd); // whenever it is closed
    }
    if (fault.reset) {
        return false;
    }
    if (fault.garbage) {
        return stream.send("this is no HTTP\r\n\r\n") && false;
    }
    Answer answer;
    if (fault.status != 0) {
        answer.status = fault.status;
        answer.content.bytes = std::make_shared<const std::string>(fault.body);
        answer.content.size = fault.body.size();
        answer.part = ByteRange{0, fault.body.size()};
    } else {
        answer = route(request, fault.ignore_range);
    }
    std::string head = fmt::format("HTTP/1.1 {} Because\r\n", answer.status);
    for (const auto& line : answer.headers) {
        const bool replaced = fault.content_range && line.starts_with("Content-Range:");
        head += replaced ? std::string{} : line + "\r\n";
    }
    if (fault.content_range && !fault.content_range->empty()) {
        head += "Content-Range: " + *fault.content_range + "\r\n";
    }
    for (const auto& line : fault.headers) {
        head += line + "\r\n";
    }
    head += fault.no_length ? std::string{"Connection: close\r\n"}
                            : fmt::format("Content-Length: {}\r\n", answer.part.size() + fault.extra);
    head += "\r\n";
    if (!stream.send(head)) {
        return false;
    }
    return request.method == "HEAD" ||
           (send_body(stream, answer, fault) && stream.send(std::string(fault.extra, 'x')) && !fault.no_length);
}

bool FakeRegistry::send_body(FakeHttpStream& stream, const Answer& answer, const Fault& fault)
{
    auto part = answer.part;
    if (fault.truncate_after && *fault.truncate_after < part.size()) {
        part = ByteRange{part.begin(), part.begin() + *fault.truncate_after};
    }
    auto content = answer.content;
    if (fault.flip_at && content.bytes && *fault.flip_at < part.size()) {
        auto wrong = *content.bytes;
        auto& byte = wrong[static_cast<std::size_t>(part.begin() + *fault.flip_at)];
        byte = static_cast<char>(byte ^ 1);
        content.bytes = std::make_shared<const std::string>(std::move(wrong));
    }
    if (fault.trickle == 0) {
        return stream.send(content, part) && part == answer.part;
    }
    for (auto at = part.begin(); at < part.end();) {
        const auto end = std::min<std::uint64_t>(at + fault.trickle, part.end());
        if (!stream.send(content, ByteRange{at, end})) {
            return false;
        }
        at = end;
        pause();
    }
    return part == answer.part;
}

void FakeRegistry::set_delay(std::chrono::microseconds delay)
{
    delay_ = delay;
}

void FakeRegistry::pause() const
{
    pollfd stop{stop_.get(), POLLIN, 0};
    ::poll(&stop, 1, kPauseMs);
}

} // namespace sluice::test
