// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/mutex.hpp"
#include "base/unique_fd.hpp"
#include "protocol/fuse_state.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace sluice::protocol {

/// The connection to the kernel: requests are read into slots of the state, and a slot is free again once its request
/// was answered. Whoever dies in between leaves the request where a successor finds it.
///
/// One descriptor, never cloned (FUSE_DEV_IOC_CLONE): what was read through a clone dies with it.
class FuseChannel {
public:
    enum class Outcome : std::uint8_t {
        kRequest,
        kNothing, ///< no request waits
        kFull,    ///< all slots are in use
        kEnded,   ///< the file system is gone: unmounted everywhere, or its connection was cut
    };

    struct Got {
        Outcome outcome = Outcome::kNothing;
        std::size_t slot = 0; ///< of a request
    };

    /// `connection` does not block. Slots that are in use stay so.
    FuseChannel(UniqueFd connection, FuseState state);

    [[nodiscard]] int descriptor() const noexcept { return connection_.get(); }

    [[nodiscard]] FuseState& state() noexcept { return state_; }

    /// Takes one request. Loop thread only. `when_free`: called once, on any thread, when a full channel has a free
    /// slot again.
    [[nodiscard]] Got read(const std::function<void()>& when_free);

    /// Answers a request and frees its slot, whether or not the kernel still wanted the answer, which is the result.
    /// `code`: a positive errno, or 0. Thread-safe. After leave() it does nothing.
    bool answer(std::size_t slot, int code, std::span<const std::byte> body);

    /// Frees the slot of a request that has no answer. Thread-safe. After leave() it does nothing.
    void forget(std::size_t slot);

    /// From now on what is not answered stays, for the successor. Thread-safe.
    void leave() noexcept { left_.store(true, std::memory_order_release); }

private:
    [[nodiscard]] std::optional<std::size_t> take_slot(const std::function<void()>& when_free);
    void free(std::size_t slot);

    UniqueFd connection_;
    FuseState state_;
    bool has_told_error_ = false;
    std::atomic<bool> left_ = false;
    Mutex mutex_;
    std::vector<std::size_t> free_ SLUICE_GUARDED_BY(mutex_);
    std::function<void()> when_free_ SLUICE_GUARDED_BY(mutex_);
};

} // namespace sluice::protocol
