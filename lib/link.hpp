// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/unique_fd.hpp"
#include "lib/wire.h"

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace sluice::lib {

/// One connection to the daemon; nothing in it blocks. Not thread-safe.
class Link {
public:
    struct Message {
        std::span<const std::byte> bytes; ///< until the next receive()
        UniqueFd fd;
        bool fd_lost = false; ///< one came along, and there was no number free for it
    };

    /// 0 or a negative errno.
    [[nodiscard]] int open(const std::string& path);

    void close() noexcept { fd_.reset(); }

    [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(fd_); }

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    /// 0, -EAGAIN, or what has ended the connection.
    [[nodiscard]] int send(std::span<const std::byte> message) const;

    /// 0, -EAGAIN, or what has ended the connection: -ECONNRESET for its orderly end, too. Descriptors other than the
    /// first one of a message are closed.
    [[nodiscard]] int receive(Message& out);

private:
    UniqueFd fd_;
    std::array<std::byte, SLUICE_WIRE_MAX> buffer_{};
};

} // namespace sluice::lib
