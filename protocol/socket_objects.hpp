// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/task.hpp"
#include "base/unique_fd.hpp"
#include "base/worker_pool.hpp"
#include "protocol/front_end.hpp"
#include "protocol/socket_message.hpp"

#include <memory>
#include <string>
#include <unordered_map>

namespace sluice::protocol {

/// A blob that has been opened for somebody, who gives it back with SocketObjects::release().
struct SocketOpened {
    ObjectId object;
    std::uint64_t size = 0;
    Digest digest;
    UniqueFd fd; ///< read-only, an open file of its own: nothing that is done to it touches other clients
};

/// Whoever waits for an answer: a connection, as a rule.
class SocketAsker {
public:
    SocketAsker() = default;
    SocketAsker(const SocketAsker&) = delete;
    SocketAsker& operator=(const SocketAsker&) = delete;
    virtual ~SocketAsker() = default;

    virtual void opened(WireId id, Result<SocketOpened> outcome) = 0;
    /// `status` is 0 when all of the range is in, otherwise a negative errno.
    virtual void read_done(std::uint32_t token, int status) = 0;
};

/// The blobs that clients have open, one object of the core for each opening, and what they wait for. On the loop's
/// thread; must be held by a shared_ptr.
class SocketObjects final : public Answerer, public std::enable_shared_from_this<SocketObjects> {
public:
    SocketObjects(EventLoop& loop, WorkerPool& workers, RequestHandler& handler);
    ~SocketObjects() override;

    /// opened() tells, later or from within. An asker that is gone by then is as good as one that has released it.
    void open(std::string cookie, std::weak_ptr<SocketAsker> asker, WireId id);
    /// The core is told of it later, so this may be called from within its answers.
    void release(ObjectId object);
    /// read_done() tells, later or from within. Precondition: `object` is open; `range` is not empty and begins inside.
    void read(ObjectId object, ByteRange range, std::weak_ptr<SocketAsker> asker, std::uint32_t token);

    [[nodiscard]] std::uint64_t size_of(ObjectId object) const { return open_.at(object); }

    [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }

    void answer_open(ObjectId object, MessageId message, Result<OpenedBlob> outcome) override;
    void answer_read(ObjectId object, MessageId message, Result<void> outcome) override;

private:
    struct Opener {
        std::weak_ptr<SocketAsker> asker;
        WireId id;
    };

    struct Reading {
        std::weak_ptr<SocketAsker> asker;
        std::uint32_t token;
    };

    Task<void> hand_out(ObjectId object, OpenedBlob blob, Opener opener);

    WorkerPool& workers_;
    EventLoop& loop_;
    RequestHandler& handler_;
    std::uint32_t last_object_ = 0;
    std::uint32_t last_message_ = 0;
    std::unordered_map<ObjectId, Opener> opening_;
    std::unordered_map<ObjectId, std::uint64_t> open_; ///< the blob's size
    std::unordered_map<MessageId, Reading> reads_;
    TaskScope tasks_; // last: its tasks touch all of the above
};

} // namespace sluice::protocol
