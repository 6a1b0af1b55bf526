// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_session.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <utility>
#include <vector>

namespace sluice::protocol {

namespace {

constexpr int kRequestsPerTurn = 64;

/// The order in which a predecessor's requests are handled: an OPEN's handle has to be known to the others, and what is
/// closed has to have been open.
int rank_of(std::span<const std::byte> message) noexcept
{
    fuse_in_header head{};
    std::memcpy(&head, message.data(), sizeof head);
    switch (head.opcode) {
    case FUSE_OPEN:
        return 0;
    case FUSE_RELEASE:
        return 2;
    default:
        return 1;
    }
}

} // namespace

FuseSession::FuseSession(EventLoop& loop, std::shared_ptr<FuseChannel> channel, FuseOperations& operations)
    : loop_{loop}, channel_{std::move(channel)}, operations_{operations}
{}

std::size_t FuseSession::start()
{
    when_free_ = [&loop = loop_, weak = weak_from_this()] {
        loop.post([weak] {
            if (const auto self = weak.lock()) {
                self->watch();
            }
        });
    };
    auto& state = channel_->state();
    auto slots = state.slots_in_use();
    std::stable_sort(slots.begin(), slots.end(), [&](std::size_t a, std::size_t b) {
        return rank_of(state.slot(a)) < rank_of(state.slot(b));
    });
    for (const auto slot : slots) {
        handle(slot);
    }
    watch();
    return slots.size();
}

void FuseSession::stop()
{
    stopped_ = true;
    source_.reset();
}

void FuseSession::watch()
{
    if (!stopped_) {
        source_ = std::make_unique<IoSource>(
            loop_, channel_->descriptor(), EPOLLIN, [this](std::uint32_t) { drain(); }, "FUSE requests"
        );
    }
}

void FuseSession::drain()
{
    // What is left after a turn's share raises the level-triggered watch again, behind everybody else's events.
    for (int i = 0; i < kRequestsPerTurn && source_ && take_one(); ++i) {
    }
}

bool FuseSession::take_one()
{
    const auto got = channel_->read(when_free_);
    switch (got.outcome) {
    case FuseChannel::Outcome::kRequest:
        handle(got.slot);
        return true;
    case FuseChannel::Outcome::kNothing:
        return false;
    case FuseChannel::Outcome::kFull:
        wait_for_slot();
        return false;
    case FuseChannel::Outcome::kEnded:
        stop();
        operations_.ended();
        return false;
    }
    return false;
}

void FuseSession::wait_for_slot()
{
    source_.reset();
    if (!std::exchange(has_told_full_, true)) {
        log::warning(
            "fuse: {} requests wait for their data, and no more are taken until one of them is answered",
            FuseStateLayout::kSlots
        );
    }
}

void FuseSession::handle(std::size_t slot)
{
    auto& state = channel_->state();
    const auto arrival = state.note_arrival(slot, SteadyClock::now());
    const auto message = parse_fuse_message(state.slot(slot));
    if (message && !expects_answer(message->operation)) {
        // A FORGET names what is remembered for ever; the READ of an INTERRUPT is answered all the same.
        channel_->forget(slot);
        return;
    }
    FuseRequest request{channel_, slot, arrival};
    if (message) {
        dispatch(std::move(request), *message);
    } else {
        log::warning("fuse: {}", message.error().text());
        request.error(EIO);
    }
}

void FuseSession::dispatch(FuseRequest request, const FuseMessage& message)
{
    switch (message.operation) {
    case FUSE_INIT: {
        const auto answer = answer_offer(message.offer);
        if (answer) {
            request.body(*answer);
        } else {
            log::error("fuse: the kernel speaks {}.{}, which is too old", message.offer.major, message.offer.minor);
            request.error(EPROTO);
        }
        return;
    }
    case FUSE_LOOKUP:
        if (message.node == kFuseRoot) {
            operations_.lookup(std::move(request), std::string{message.name});
        } else {
            request.error(ENOTDIR);
        }
        return;
    case FUSE_GETATTR:
        operations_.get_attributes(std::move(request), message.node);
        return;
    case FUSE_OPEN:
        operations_.open(std::move(request), message.node);
        return;
    case FUSE_READ:
        operations_.read(std::move(request), message.handle, message.offset, message.size);
        return;
    case FUSE_RELEASE:
        operations_.release(std::move(request), message.handle);
        return;
    case FUSE_OPENDIR:
        request.body(fuse_open_out{});
        return;
    case FUSE_READDIR:
        operations_.list(std::move(request), message.offset, message.size);
        return;
    case FUSE_RELEASEDIR:
    case FUSE_DESTROY:
        request.error(0);
        return;
    case FUSE_STATFS:
        request.body(make_statistics());
        return;
    default:
        request.error(ENOSYS);
        return;
    }
}

} // namespace sluice::protocol
