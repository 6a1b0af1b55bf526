// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/release_service.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <utility>

namespace sluice::daemon {

namespace {

/// Of what a program complains of, more than this helps nobody.
constexpr std::size_t kMostComplaint = 4096;

} // namespace

ReleaseRequest::ReleaseRequest(EventLoop& loop, UniqueFd connection, UniqueFunction<void(std::string)> done)
    : connection_{std::move(connection)}
    , done_{std::move(done)}
    , source_{std::make_unique<IoSource>(
          loop, connection_.get(), EPOLLIN, [this](std::uint32_t) { take(); }, "reaper: answer of its service"
      )}
{}

Result<std::unique_ptr<ReleaseRequest>> ReleaseRequest::send(
    EventLoop& loop, const std::string& socket, const std::string& layers_dir, UniqueFunction<void(std::string)> done
)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket.size() >= sizeof address.sun_path) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: too long for the name of a socket", socket));
    }
    std::memcpy(static_cast<char*>(address.sun_path), socket.data(), socket.size());
    UniqueFd connection{kAdoptFd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!connection) {
        return fail_errno(errno, "socket");
    }
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): as the interface has it
    if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int code = errno;
        const bool is_absent = code == ENOENT || code == ECONNREFUSED;
        auto error = Error::from_errno(code, socket);
        return fail(is_absent ? ErrorKind::kNotFound : error.kind(), error.text(), code);
    }
    const auto line = layers_dir + '\n'; // far shorter than what a new socket takes at once
    if (::send(connection.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size()) ||
        ::shutdown(connection.get(), SHUT_WR) != 0) {
        return fail_errno(errno, socket);
    }
    return std::unique_ptr<ReleaseRequest>{new ReleaseRequest{loop, std::move(connection), std::move(done)}};
}

void ReleaseRequest::take()
{
    std::array<char, 1024> part{};
    const auto got = ::recv(connection_.get(), part.data(), part.size(), 0);
    if (got > 0) {
        const auto room = kMostComplaint - complaint_.size();
        complaint_.append(part.data(), std::min(room, static_cast<std::size_t>(got)));
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got < 0) {
        const auto broken = Error::from_errno(errno, "its connection");
        complaint_ += fmt::format("{}{}", complaint_.empty() ? "" : "; ", broken.text());
    }
    source_.reset();
    auto done = std::move(done_);
    done(printable(trim(complaint_)));
}

} // namespace sluice::daemon
