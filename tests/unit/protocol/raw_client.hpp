// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/unique_fd.hpp"
#include "lib/wire.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <optional>
#include <span>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <vector>

namespace sluice::protocol {

struct Answered {
    std::uint16_t opcode = 0;
    std::uint32_t id = 0;
    int status = 1; ///< 1: the connection has ended
    std::uint32_t object = 0;
    UniqueFd fd;
};

/// A client that says what it is told to.
class RawClient {
public:
    explicit RawClient(const std::filesystem::path& path) : fd_{kAdoptFd, ::socket(AF_UNIX, SOCK_SEQPACKET, 0)}
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.native().copy(address.sun_path, sizeof address.sun_path - 1);
        const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
        EXPECT_EQ(::connect(fd_.get(), generic, sizeof address), 0);
    }

    template <typename T>
    void send(T message, std::string_view tail = {})
    {
        std::vector<std::byte> bytes(sizeof message + tail.size());
        message.header.size = static_cast<std::uint16_t>(bytes.size());
        std::memcpy(bytes.data(), &message, sizeof message);
        std::ranges::copy(std::as_bytes(std::span{tail}), bytes.begin() + sizeof message);
        send_raw(bytes);
    }

    void send_raw(std::span<const std::byte> bytes)
    {
        EXPECT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }

    void hello() { send(sluice_wire_hello{{SLUICE_WIRE_HELLO, 0, 1}, SLUICE_WIRE_MAGIC, 1, 1}); }

    void open(std::uint32_t id, const Digest& digest)
    {
        send(sluice_wire_open{{SLUICE_WIRE_OPEN_BLOB, 0, id}, 0, 0}, digest.to_string());
    }

    void read(std::uint32_t id, std::uint32_t object, std::uint64_t offset, std::uint64_t length = 4096)
    {
        send(sluice_wire_read{{SLUICE_WIRE_READ, 0, id}, object, 0, offset, length});
    }

    void close(std::uint32_t id, std::uint32_t object)
    {
        send(sluice_wire_object{{SLUICE_WIRE_CLOSE, 0, id}, object, 0});
    }

    void cancel(std::uint32_t id, std::uint32_t request)
    {
        send(sluice_wire_object{{SLUICE_WIRE_CANCEL, 0, id}, request, 0});
    }

    /// One answer, if there is one now.
    std::optional<Answered> receive()
    {
        std::array<std::byte, SLUICE_WIRE_MAX> buffer;
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
        iovec part{buffer.data(), buffer.size()};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        const auto got = ::recvmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EAGAIN) {
            return std::nullopt;
        }
        Answered answered;
        if (got <= 0) {
            return answered;
        }
        sluice_wire_open_answer answer{};
        std::memcpy(&answer, buffer.data(), std::min(sizeof answer, static_cast<std::size_t>(got)));
        answered.opcode = answer.answer.header.opcode;
        answered.id = answer.answer.header.id;
        answered.status = answer.answer.status;
        answered.object = answer.object;
        if (const auto* item = CMSG_FIRSTHDR(&header); item != nullptr) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(item), sizeof number);
            answered.fd.reset(number);
        }
        return answered;
    }

    [[nodiscard]] int fd() const { return fd_.get(); }

private:
    UniqueFd fd_;
};

} // namespace sluice::protocol
