// SPDX-License-Identifier: Apache-2.0
#include "base/unix_listener.hpp"

#include "base/log.hpp"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fmt/format.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace sluice {

namespace {

UniqueFd make_socket(int type)
{
    return UniqueFd{kAdoptFd, ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

/// What connect() and bind() want for an address.
const sockaddr* generic(const sockaddr_un& address) noexcept
{
    return static_cast<const sockaddr*>(static_cast<const void*>(&address));
}

Failure failed(const UnixListener& listener, const char* what)
{
    return fail_errno(errno, fmt::format("{} {}: {}", listener.what, listener.path.string(), what));
}

bool is_socket_file(const std::filesystem::path& path)
{
    struct stat info {};

    return ::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

Result<void> set_permissions(const UnixListener& listener)
{
    if (listener.group && ::chown(listener.path.c_str(), static_cast<uid_t>(-1), *listener.group) != 0) {
        return failed(listener, "chown");
    }
    if (::chmod(listener.path.c_str(), listener.mode) != 0) {
        return failed(listener, "chmod");
    }
    return {};
}

/// Whether it listens at the path: the configuration may have changed since, and somebody may have removed the file.
bool listens_at(int fd, const UnixListener& listener)
{
    int type = 0;
    int listens = 0;
    socklen_t size = sizeof type;
    const bool known = ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                       ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0;
    sockaddr_un address{};
    socklen_t length = sizeof address - 1;
    auto* out = static_cast<sockaddr*>(static_cast<void*>(&address));
    return known && type == listener.type && listens == 1 && ::getsockname(fd, out, &length) == 0 &&
           address.sun_family == AF_UNIX && listener.path.native() == static_cast<const char*>(address.sun_path) &&
           is_socket_file(listener.path);
}

} // namespace

Result<UniqueFd> listen_unix(const UnixListener& listener)
{
    const auto& name = listener.path.native();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (name.size() >= sizeof address.sun_path) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("{} {}: the path is longer than {} bytes", listener.what, name, sizeof address.sun_path - 1)
        );
    }
    std::memcpy(address.sun_path, name.data(), name.size());
    const auto probe = make_socket(listener.type);
    if (probe && (::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN)) {
        return fail(
            ErrorKind::kInternal,
            fmt::format("{} {}: another sluiced answers on it; stop that one first", listener.what, name)
        );
    }
    if (is_socket_file(listener.path)) {
        ::unlink(name.c_str());
    }
    auto fd = make_socket(listener.type);
    if (!fd) {
        return failed(listener, "socket");
    }
    // Nobody may connect between bind() and chmod(): the socket is born with no permissions at all.
    const auto old_mask = ::umask(0777);
    const int bound = ::bind(fd.get(), generic(address), sizeof address);
    ::umask(old_mask);
    if (bound != 0) {
        return failed(listener, "bind");
    }
    if (auto set = set_permissions(listener); !set) {
        return fail(set.error());
    }
    if (::listen(fd.get(), SOMAXCONN) != 0) {
        return failed(listener, "listen");
    }
    return fd;
}

Result<UniqueFd> listen_kept(FdStore& descriptors, std::string_view name, const UnixListener& listener)
{
    if (auto inherited = descriptors.take(name)) {
        if (listens_at(inherited.get(), listener)) {
            if (auto set = set_permissions(listener); !set) {
                return fail(set.error());
            }
            return inherited;
        }
        // Whoever keeps it takes a while to let go: until then, programs would connect to it and wait for nobody.
        ::shutdown(inherited.get(), SHUT_RDWR);
        descriptors.forget(name);
    }
    auto made = listen_unix(listener);
    if (made) {
        if (const auto kept = descriptors.keep(name, made->get()); !kept) {
            log::warning("{} {}: {}", listener.what, listener.path.string(), kept.error().text());
        }
    }
    return made;
}

} // namespace sluice
