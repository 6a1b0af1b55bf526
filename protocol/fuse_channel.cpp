// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_channel.hpp"

#include "base/log.hpp"

#include <array>
#include <cerrno>
#include <sys/uio.h>
#include <utility>

namespace sluice::protocol {

FuseChannel::FuseChannel(UniqueFd connection, FuseState state)
    : connection_{std::move(connection)}, state_{std::move(state)}
{
    free_.reserve(FuseStateLayout::kSlots);
    for (auto slot = FuseStateLayout::kSlots; slot-- > 0;) {
        if (!state_.in_use(slot)) {
            free_.push_back(slot);
        }
    }
}

std::optional<std::size_t> FuseChannel::take_slot(const std::function<void()>& when_free)
{
    const MutexLock lock{mutex_};
    if (free_.empty()) {
        when_free_ = when_free;
        return std::nullopt;
    }
    const auto slot = free_.back();
    free_.pop_back();
    return slot;
}

void FuseChannel::free(std::size_t slot)
{
    state_.clear(slot);
    std::function<void()> tell;
    {
        const MutexLock lock{mutex_};
        free_.push_back(slot);
        tell = std::exchange(when_free_, nullptr);
    }
    if (tell) {
        tell();
    }
}

FuseChannel::Got FuseChannel::read(const std::function<void()>& when_free)
{
    const auto slot = take_slot(when_free);
    if (!slot) {
        return {Outcome::kFull};
    }
    const auto kept = state_.slot(*slot);
    const auto rest = state_.scratch();
    const std::array<iovec, 2> into{{{kept.data(), kept.size()}, {rest.data(), rest.size()}}};
    const auto got = ::readv(connection_.get(), into.data(), into.size());
    if (got > 0) {
        return {Outcome::kRequest, *slot};
    }
    const int code = got < 0 ? errno : ENODEV;
    free(*slot);
    // ENOENT: the kernel took a request back while it was read.
    const bool again = code == EAGAIN || code == EINTR || code == ENOENT;
    if (code == ENODEV || code == ECONNABORTED) {
        return {Outcome::kEnded};
    }
    // Of anything else (no memory, say) all that is mounted must not die.
    if (!again && !std::exchange(has_told_error_, true)) {
        log::error("fuse: {}; reading goes on", Error::from_errno(code, "reading a request").text());
    }
    return {Outcome::kNothing};
}

bool FuseChannel::answer(std::size_t slot, int code, std::span<const std::byte> body)
{
    if (left_.load(std::memory_order_acquire)) {
        return false;
    }
    fuse_out_header head{};
    head.unique = unique_of_fuse_message(state_.slot(slot));
    head.error = -code;
    head.len = static_cast<std::uint32_t>(sizeof head + body.size());
    // writev() takes memory that it only reads as if it would write it.
    auto* bytes = const_cast<std::byte*>(body.data()); // NOLINT(*-const-cast)
    const std::array<iovec, 2> from{{{&head, sizeof head}, {bytes, body.size()}}};
    ssize_t put = 0;
    do {
        put = ::writev(connection_.get(), from.data(), body.empty() ? 1 : 2);
    } while (put < 0 && errno == EINTR);
    free(slot);
    return put >= 0;
}

void FuseChannel::forget(std::size_t slot)
{
    if (!left_.load(std::memory_order_acquire)) {
        free(slot);
    }
}

} // namespace sluice::protocol
