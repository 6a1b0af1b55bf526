// SPDX-License-Identifier: Apache-2.0
#include "base/tcp_listener.hpp"

#include <cerrno>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>

namespace sluice {
namespace {

TEST(TcpListener, TakesNumbersOnly)
{
    for (const auto* good : {"127.0.0.1:9100", "0.0.0.0:1", "[::1]:65535", "[2001:db8::1]:80"}) {
        EXPECT_TRUE(is_tcp_address(good)) << good;
    }
    for (const auto* bad :
         {"",
          ":9100",
          "127.0.0.1",
          "127.0.0.1:",
          "127.0.0.1:0",
          "127.0.0.1:65536",
          "127.0.0.1:+1",
          "127.0.0.1:80 ",
          "localhost:80",
          "::1:80",
          "[::1]",
          "[::1:80",
          "[]:80",
          "[127.0.0.1]:80",
          "1.2.3:80"}) {
        EXPECT_FALSE(is_tcp_address(bad)) << bad;
    }
    EXPECT_EQ(listen_tcp("localhost:80").error().kind(), ErrorKind::kInvalid);
}

TEST(TcpListener, ListensOnceAndSaysWhereItCannot)
{
    const auto bound_port = [](const UniqueFd& fd) {
        sockaddr_in address{};
        socklen_t size = sizeof address;
        auto* generic = static_cast<sockaddr*>(static_cast<void*>(&address));
        EXPECT_EQ(::getsockname(fd.get(), generic, &size), 0);
        return ntohs(address.sin_port);
    };
    // A port that is free, from the kernel.
    const UniqueFd any{kAdoptFd, ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ASSERT_EQ(::listen(any.get(), 1), 0);
    const auto taken = "127.0.0.1:" + std::to_string(bound_port(any));
    const auto refused = listen_tcp(taken);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), EADDRINUSE);
    EXPECT_NE(refused.error().text().find(taken), std::string::npos) << refused.error().text();
}

} // namespace
} // namespace sluice
