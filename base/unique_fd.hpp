// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>
#include <utility>

namespace sluice {

/// Says at the call that the callee takes ownership of the descriptor it is given.
struct AdoptFd {};

inline constexpr AdoptFd kAdoptFd{};

/// Owns one file descriptor and closes it. Not thread-safe.
class UniqueFd {
public:
    UniqueFd() noexcept = default;

    UniqueFd(AdoptFd, int fd) noexcept : fd_{fd} {}

    UniqueFd(UniqueFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}

    UniqueFd& operator=(UniqueFd&& other) noexcept
    {
        reset(std::exchange(other.fd_, -1));
        return *this;
    }

    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;

    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }

    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    void reset(int fd = -1) noexcept
    {
        const int old = std::exchange(fd_, fd);
        if (old >= 0) {
            ::close(old); // an error of close() tells nothing that could be acted upon: the fd is gone
        }
    }

private:
    int fd_ = -1;
};

} // namespace sluice
