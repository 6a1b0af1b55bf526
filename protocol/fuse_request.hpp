// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "protocol/fuse_channel.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace sluice::protocol {

/// One request of the kernel's, which somebody sleeps on. Answered exactly once on every path: the destructor says EIO,
/// unless the channel was left to a successor, who then finds the request. Move-only; may be answered from any thread.
/// Each answer is true when the kernel still wanted it.
class FuseRequest {
public:
    FuseRequest() noexcept = default;

    FuseRequest(std::shared_ptr<FuseChannel> channel, std::size_t slot, TimePoint arrival) noexcept
        : channel_{std::move(channel)}, slot_{slot}, arrival_{arrival}
    {}

    FuseRequest(FuseRequest&& other) noexcept = default;
    FuseRequest& operator=(FuseRequest&& other) noexcept;
    FuseRequest(const FuseRequest&) = delete;
    FuseRequest& operator=(const FuseRequest&) = delete;
    ~FuseRequest();

    /// Whether there is one that was not answered.
    [[nodiscard]] explicit operator bool() const noexcept { return channel_ != nullptr; }

    /// When the kernel handed it out, maybe to a predecessor.
    [[nodiscard]] TimePoint arrival() const noexcept { return arrival_; }

    /// OPEN: what a predecessor meant to answer it with, or has answered it with; 0 where there is nothing. Loop
    /// thread.
    [[nodiscard]] std::uint64_t noted_handle() const { return channel_->state().noted_handle(slot_); }

    void note_handle(std::uint64_t handle) { channel_->state().note_handle(slot_, handle); }

    bool error(int code); ///< a positive errno; 0 where success has nothing to say
    bool entry(const FuseFile& file);
    bool attributes(const FuseFile& file);
    bool opened(std::uint64_t handle);
    bool data(std::span<const std::byte> bytes);

    /// An answer with a body that is a struct of the kernel's.
    template <typename T>
    bool body(const T& value)
    {
        return answer(0, std::as_bytes(std::span{&value, 1}));
    }

private:
    bool answer(int code, std::span<const std::byte> body);

    std::shared_ptr<FuseChannel> channel_; ///< null once it was answered
    std::size_t slot_ = 0;
    TimePoint arrival_;
};

} // namespace sluice::protocol
