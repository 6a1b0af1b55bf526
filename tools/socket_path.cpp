// SPDX-License-Identifier: Apache-2.0
#include "tools/socket_path.hpp"

#include "base/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <iterator>
#include <sys/socket.h>
#include <sys/un.h>

namespace sluice::tools {

std::string socket_path_fault(const std::string& path)
{
    constexpr auto kLimit = sizeof(sockaddr_un::sun_path) - 1;
    if (path.empty()) {
        return "is empty";
    }
    return path.size() <= kLimit ? std::string{} : fmt::format("is longer than {} bytes", kLimit);
}

int probe_socket(const std::string& path)
{
    sockaddr_un address{};
    if (!socket_path_fault(path).empty()) {
        return EINVAL;
    }
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), std::begin(address.sun_path));
    const UniqueFd fd{kAdoptFd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    return fd && ::connect(fd.get(), generic, sizeof address) == 0 ? 0 : errno;
}

} // namespace sluice::tools
