// SPDX-License-Identifier: Apache-2.0
//
// Nothing is read from a client that has answers to take or too much under way: what it sends meanwhile stays in its
// own socket buffer, and it waits. So the queue of answers is never longer than what it has asked for.
#include "protocol/socket_client.hpp"

#include "lib/wire.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace sluice::protocol {

namespace {

constexpr int kMessagesPerTurn = 32;
constexpr std::size_t kCancelledShare = 4; ///< times as many READs as may be unanswered may still be under way

int refusal_of(const Error& error, int otherwise)
{
    return error.code() > 0 && error.code() <= 4095 ? -error.code() : -otherwise;
}

} // namespace

SocketClient::SocketClient(EventLoop& loop, UniqueFd socket, int refusal, Surroundings surroundings, Ended ended)
    : socket_{std::move(socket)}
    , refusal_{refusal}
    , with_{surroundings}
    , ended_{std::move(ended)}
    , timer_{loop, [this] {
        ++with_.stats.stalled;
        end(greeted_ ? "it does not read its answers" : "it says nothing");
    }}
    , source_{std::make_unique<IoSource>(loop, socket_.get(), EPOLLIN, [this](std::uint32_t events) {
        const auto self = weak_from_this().lock(); // outlive whatever this brings about
        on_events(events);
    }, "library: requests")}
{
    timer_.arm(with_.patience);
}

SocketClient::~SocketClient()
{
    ended_ = {};
    end({});
}

void SocketClient::end(const std::string& why)
{
    if (over_) {
        return;
    }
    over_ = true;
    source_.reset();
    timer_.cancel();
    socket_.reset();
    queue_.clear();
    requests_.clear();
    for (const auto& [id, object] : std::exchange(objects_, {})) {
        with_.objects.release(object);
    }
    if (ended_) {
        ended_(*this, why);
    }
}

void SocketClient::on_events(std::uint32_t events)
{
    if ((events & EPOLLOUT) != 0) {
        flush();
    }
    if (!over_ && (events & EPOLLIN) != 0) {
        drain();
    } else if (!over_ && (events & (EPOLLHUP | EPOLLERR)) != 0) {
        end({});
    }
    update_watch();
}

void SocketClient::update_watch()
{
    if (over_) {
        return;
    }
    const bool busy = !queue_.empty() || in_core_.size() >= kCancelledShare * with_.limits.requests;
    source_->set_events((busy ? 0U : unsigned{EPOLLIN}) | (queue_.empty() ? 0U : unsigned{EPOLLOUT}));
}

void SocketClient::drain()
{
    std::array<std::byte, SLUICE_WIRE_MAX> buffer;
    for (int i = 0; i < kMessagesPerTurn && !over_ && queue_.empty(); ++i) {
        // MSG_TRUNC: the whole length. There is no room for descriptors, so the kernel drops any that come along.
        const auto got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (got <= 0) {
            end({}); // an empty message is no message of ours either
            return;
        }
        const auto size = static_cast<std::size_t>(got);
        const auto message = size <= buffer.size()
                                 ? decode_socket_message(std::span<const std::byte>{buffer}.first(size))
                                 : fail(ErrorKind::kInvalid, fmt::format("a message of {} bytes", size));
        if (!message) {
            ++with_.stats.malformed;
            end(message.error().text());
            return;
        }
        handle(*message);
    }
}

void SocketClient::handle(const SocketMessage& message)
{
    if (const auto* hello = std::get_if<SocketHello>(&message)) {
        handle(*hello);
    } else if (!greeted_) {
        ++with_.stats.malformed;
        end("it does not begin with HELLO");
    } else if (const auto* blob = std::get_if<SocketOpenBlob>(&message)) {
        open(SLUICE_WIRE_OPEN_BLOB, blob->id, with_.names.find_blob(blob->digest));
    } else if (const auto* image = std::get_if<SocketOpenImage>(&message)) {
        open(SLUICE_WIRE_OPEN_IMAGE, image->id, with_.names.find_part(image->reference, image->layer, image->device));
    } else if (const auto* read = std::get_if<SocketRead>(&message)) {
        handle(*read);
    } else if (const auto* close = std::get_if<SocketClose>(&message)) {
        handle(*close);
    } else {
        handle(std::get<SocketCancel>(message));
    }
}

void SocketClient::handle(const SocketHello& hello)
{
    if (greeted_) {
        ++with_.stats.malformed;
        end("it says HELLO twice");
        return;
    }
    const int status = refusal_ != 0 ? refusal_ : hello.known_version ? 0 : -EPROTONOSUPPORT;
    if (status != 0) {
        answer(encode_status(SLUICE_WIRE_HELLO, hello.id, status));
        end({});
        return;
    }
    greeted_ = true;
    timer_.cancel();
    answer(encode_hello(hello.id, with_.limits));
}

bool SocketClient::take_request(std::uint16_t opcode, WireId id, std::uint32_t object)
{
    if (requests_.contains(id)) {
        ++with_.stats.malformed;
        end("two requests with one id");
        return false;
    }
    if (requests_.size() >= with_.limits.requests) {
        answer(encode_status(opcode, id, -EBUSY));
        return false;
    }
    requests_.emplace(id, Request{opcode, object, 0});
    return true;
}

void SocketClient::open(std::uint16_t opcode, WireId id, const Result<std::string>& cookie)
{
    ++with_.stats.opens;
    if (!cookie) { // refused here, because the core writes a line for each OPEN that it refuses
        ++with_.stats.opens_rejected;
        answer(encode_status(opcode, id, refusal_of(cookie.error(), ENOENT)));
    } else if (take_request(opcode, id, 0)) {
        with_.objects.open(*cookie, weak_from_this(), id);
    }
}

void SocketClient::opened(WireId id, Result<SocketOpened> outcome)
{
    const auto node = requests_.extract(id);
    if (over_ || node.empty()) {
        if (outcome) {
            with_.objects.release(outcome->object);
        }
        return;
    }
    const auto opcode = node.mapped().opcode;
    if (outcome && objects_.size() >= with_.limits.objects) {
        with_.objects.release(outcome->object);
        outcome = fail(ErrorKind::kNoSpace, "too many blobs are open", EMFILE);
    }
    if (!outcome) {
        ++with_.stats.opens_rejected;
        answer(encode_status(opcode, id, refusal_of(outcome.error(), EIO)));
        return;
    }
    ++with_.stats.opens_accepted;
    do {
        ++last_object_;
    } while (objects_.contains(last_object_));
    objects_.emplace(last_object_, outcome->object);
    answer(encode_opened(opcode, id, last_object_, outcome->size, outcome->digest), std::move(outcome->fd));
}

void SocketClient::handle(const SocketRead& read)
{
    ++with_.stats.reads;
    const auto object = objects_.find(read.object);
    int refused = 0;
    if (object == objects_.end()) {
        refused = -EBADF;
    } else if (read.length > with_.limits.read || read.offset >= with_.objects.size_of(object->second)) {
        refused = -EINVAL;
    }
    if (refused != 0) {
        ++with_.stats.reads_failed;
        answer(encode_status(SLUICE_WIRE_READ, read.id, refused));
        return;
    }
    if (take_request(SLUICE_WIRE_READ, read.id, read.object)) {
        const auto token = ++last_token_;
        in_core_.emplace(token, read.id);
        requests_.at(read.id).token = token;
        with_.objects.read(object->second, ByteRange{read.offset, read.offset + read.length}, weak_from_this(), token);
    }
}

void SocketClient::read_done(std::uint32_t token, int status)
{
    const auto id = in_core_.extract(token).mapped();
    const auto at = requests_.find(id);
    if (at != requests_.end() && at->second.token == token) { // neither cancelled nor, since then, another one's id
        requests_.erase(at);
        ++with_.stats.reads_answered;
        with_.stats.reads_failed += status != 0 ? 1U : 0U;
        answer(encode_status(SLUICE_WIRE_READ, id, status));
    }
    update_watch();
}

void SocketClient::handle(const SocketClose& close)
{
    const auto node = objects_.extract(close.object);
    if (node.empty()) {
        answer(encode_status(SLUICE_WIRE_CLOSE, close.id, -EBADF));
        return;
    }
    ++with_.stats.closes;
    std::vector<WireId> readers;
    for (const auto& [id, request] : requests_) {
        if (request.opcode == SLUICE_WIRE_READ && request.object == close.object) {
            readers.push_back(id);
        }
    }
    for (const auto id : readers) {
        requests_.erase(id);
        answer(encode_status(SLUICE_WIRE_READ, id, -ECANCELED));
    }
    answer(encode_status(SLUICE_WIRE_CLOSE, close.id, 0));
    with_.objects.release(node.mapped());
}

void SocketClient::handle(const SocketCancel& cancel)
{
    const auto at = requests_.find(cancel.request);
    const bool known = at != requests_.end() && at->second.opcode == SLUICE_WIRE_READ;
    if (known) {
        ++with_.stats.cancelled;
        requests_.erase(at);
        answer(encode_status(SLUICE_WIRE_READ, cancel.request, -ECANCELED));
    }
    answer(encode_status(SLUICE_WIRE_CANCEL, cancel.id, known ? 0 : -ENOENT));
}

void SocketClient::answer(SocketAnswer bytes, UniqueFd fd)
{
    if (over_) {
        return;
    }
    queue_.push_back({std::move(bytes), std::move(fd)});
    if (queue_.size() == 1) {
        flush();
        update_watch();
    }
}

void SocketClient::flush()
{
    while (!queue_.empty()) {
        const int status = send(queue_.front());
        if (status == -EAGAIN) {
            timer_.arm(with_.patience);
            return;
        }
        if (status != 0) {
            end({});
            return;
        }
        queue_.pop_front();
    }
    if (greeted_) {
        timer_.cancel();
    }
}

int SocketClient::send(const Outgoing& message) const
{
    iovec part{const_cast<std::byte*>(message.bytes.data()), message.bytes.size()}; // NOLINT: sendmsg only reads it
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (message.fd) {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        auto* item = CMSG_FIRSTHDR(&header);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof(int));
        const int number = message.fd.get();
        std::memcpy(CMSG_DATA(item), &number, sizeof number);
    }
    ssize_t done = -1;
    do {
        done = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (done < 0 && errno == EINTR);
    if (done >= 0) {
        return 0;
    }
    return -errno; // short of memory, too: the client comes back, a queue that no event wakes would not
}

} // namespace sluice::protocol
