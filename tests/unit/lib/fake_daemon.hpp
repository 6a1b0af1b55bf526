// SPDX-License-Identifier: Apache-2.0
//
// The daemon's end of the library socket as a script: each connection is given to a function, on a thread of its own.
#pragma once

#include "base/unique_fd.hpp"
#include "lib/wire.h"
#include "tests/support/temp_dir.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <optional>
#include <poll.h>
#include <span>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace sluice::test {

constexpr std::uint64_t kFakeBlobSize = 64 * 1024;

/// One connection, as a script sees it.
class FakeConnection {
public:
    FakeConnection(int fd, int file) : fd_{fd}, file_{file} {}

    /// The next request's bytes; nothing at the end of the connection.
    std::optional<std::vector<std::byte>> take()
    {
        std::vector<std::byte> bytes(SLUICE_WIRE_MAX);
        const auto got = ::recv(fd_, bytes.data(), bytes.size(), 0);
        if (got <= 0) {
            return std::nullopt;
        }
        bytes.resize(static_cast<std::size_t>(got));
        return bytes;
    }

    template <typename T>
    static T as(const std::vector<std::byte>& bytes)
    {
        T message{};
        std::memcpy(&message, bytes.data(), std::min(sizeof message, bytes.size()));
        return message;
    }

    void send(std::span<const std::byte> bytes, const std::vector<int>& fds = {}) const
    {
        iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control{};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        if (!fds.empty()) {
            header.msg_control = control.data();
            header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
            auto* item = CMSG_FIRSTHDR(&header);
            item->cmsg_level = SOL_SOCKET;
            item->cmsg_type = SCM_RIGHTS;
            item->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
            std::memcpy(CMSG_DATA(item), fds.data(), fds.size() * sizeof(int));
        }
        (void)::sendmsg(fd_, &header, MSG_NOSIGNAL);
    }

    void send_status(const sluice_wire_header& request, int status) const
    {
        const auto opcode = static_cast<std::uint16_t>(request.opcode | SLUICE_WIRE_ANSWER);
        const sluice_wire_answer answer{{opcode, sizeof answer, request.id}, status, 0};
        send(std::as_bytes(std::span{&answer, 1}));
    }

    void send_hello(const sluice_wire_header& request) const
    {
        const sluice_wire_hello_answer hello{
            {{SLUICE_WIRE_HELLO | SLUICE_WIRE_ANSWER, sizeof hello, request.id}, 0, 0}, 1, 64, 64, 1 << 20};
        send(std::as_bytes(std::span{&hello, 1}));
    }

    void send_opened(const sluice_wire_header& request, const std::vector<int>& fds, std::uint8_t digest = 0xaa) const
    {
        const auto opcode = static_cast<std::uint16_t>(request.opcode | SLUICE_WIRE_ANSWER);
        sluice_wire_open_answer opened{{{opcode, sizeof opened, request.id}, 0, 0}, 1, 0, kFakeBlobSize, {}};
        std::memset(opened.digest, digest, sizeof opened.digest);
        send(std::as_bytes(std::span{&opened, 1}), fds);
    }

    /// What a good daemon does with a request: READs are filled with 'd'. `opened` is called before a descriptor is
    /// sent.
    void serve(const std::vector<std::byte>& request, bool fill = true, const std::function<void()>& opened = {})
    {
        const auto header = as<sluice_wire_header>(request);
        if (header.opcode == SLUICE_WIRE_HELLO) {
            send_hello(header);
        } else if (header.opcode == SLUICE_WIRE_OPEN_BLOB || header.opcode == SLUICE_WIRE_OPEN_IMAGE) {
            const UniqueFd fd{
                kAdoptFd, ::open(("/proc/self/fd/" + std::to_string(file_)).c_str(), O_RDONLY | O_CLOEXEC)};
            if (opened) {
                opened();
            }
            send_opened(header, {fd.get()});
        } else {
            if (header.opcode == SLUICE_WIRE_READ && fill) {
                const auto read = as<sluice_wire_read>(request);
                const std::string data(read.length, 'd');
                EXPECT_EQ(
                    ::pwrite(file_, data.data(), data.size(), static_cast<off_t>(read.offset)),
                    static_cast<ssize_t>(data.size())
                );
            }
            send_status(header, 0);
        }
    }

    /// Serves until the client goes, or `until` says stop (with the request that it was asked about unanswered).
    void serve_all(const std::function<bool(const sluice_wire_header&)>& until = {})
    {
        while (const auto request = take()) {
            if (until && until(as<sluice_wire_header>(*request))) {
                return;
            }
            serve(*request);
        }
    }

private:
    int fd_;
    int file_;
};

class FakeDaemon {
public:
    /// Gets each connection and its number, from 0; the connection ends when it returns.
    using Script = std::function<void(FakeConnection&, unsigned)>;

    explicit FakeDaemon(Script script) : script_{std::move(script)}
    {
        file_.reset(::open((dir_.path() / "blob").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        EXPECT_EQ(::ftruncate(file_.get(), kFakeBlobSize), 0);
        listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        socket().copy(address.sun_path, sizeof address.sun_path - 1);
        const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
        EXPECT_EQ(::bind(listener_.get(), generic, sizeof address), 0);
        EXPECT_EQ(::listen(listener_.get(), 16), 0);
        thread_ = std::thread{[this] { accept_all(); }};
    }

    FakeDaemon(const FakeDaemon&) = delete;
    FakeDaemon& operator=(const FakeDaemon&) = delete;

    ~FakeDaemon()
    {
        ::shutdown(listener_.get(), SHUT_RDWR);
        thread_.join();
        for (auto& thread : connections_) {
            thread.join(); // scripts end with their clients
        }
    }

    [[nodiscard]] std::string socket() const { return (dir_.path() / "socket").string(); }

    [[nodiscard]] unsigned connections() const { return accepted_; }

private:
    void accept_all()
    {
        for (;;) {
            UniqueFd fd{kAdoptFd, ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
            if (!fd) {
                return;
            }
            connections_.emplace_back([this, socket = std::move(fd), number = accepted_++] {
                FakeConnection connection{socket.get(), file_.get()};
                script_(connection, number);
            });
        }
    }

    TempDir dir_;
    Script script_;
    UniqueFd file_;
    UniqueFd listener_;
    std::atomic<unsigned> accepted_ = 0;
    std::vector<std::thread> connections_; // the accepting thread's, until it has ended
    std::thread thread_;
};

} // namespace sluice::test
