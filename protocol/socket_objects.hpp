// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/task.hpp"
#include "base/unique_fd.hpp"
#include "base/worker_pool.hpp"
#include "protocol/backing_file.hpp"
#include "protocol/device.hpp"
#include "protocol/socket_message.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::protocol {

class SharedHandle;

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

/// The blobs that clients have open, and what they wait for. A blob is opened once in the core however many clients
/// have it, so that they share its fetches. On the loop's thread; must be held by a shared_ptr.
class SocketObjects final : public Answerer, public std::enable_shared_from_this<SocketObjects> {
public:
    struct Place {
        std::filesystem::path cache_dir;
        std::filesystem::path private_dir; ///< where new files are made; on the same file system
        std::string volume;
    };

    SocketObjects(EventLoop& loop, WorkerPool& workers, RequestHandler& handler, Place place);
    ~SocketObjects() override;

    /// opened() tells, later or from within. An asker that is gone by then is as good as one that has released it.
    void open(const Digest& digest, std::weak_ptr<SocketAsker> asker, WireId id);
    /// The core is told of the last one's release later, so this may be called from within its answers.
    void release(ObjectId object);
    /// read_done() tells, later or from within. Precondition: `object` is open; `range` is not empty and begins inside.
    void read(ObjectId object, ByteRange range, std::weak_ptr<SocketAsker> asker, std::uint32_t token);

    [[nodiscard]] std::uint64_t size_of(ObjectId object) const { return objects_.at(object).size; }

    [[nodiscard]] std::size_t size() const noexcept { return objects_.size(); }

    void answer_open(ObjectId object, MessageId message, Result<std::uint64_t> size) override;
    void answer_read(ObjectId object, MessageId message) override;

private:
    struct Opener {
        std::weak_ptr<SocketAsker> asker;
        WireId id;
    };

    struct Object {
        Digest digest;
        std::uint64_t size = 0;
        std::shared_ptr<SharedHandle> handle;
        std::shared_ptr<FileHandle> file; ///< set: open
        std::vector<Opener> openers;      ///< wait until it is open
        std::size_t users = 0;
    };

    struct Reading {
        ByteRange range;
        std::weak_ptr<SocketAsker> asker;
        std::uint32_t token;
    };

    Task<void> open_file(ObjectId object);
    void opened(ObjectId object, Result<std::shared_ptr<FileHandle>> file);
    void hand_out(ObjectId id, const Opener& opener);
    void refuse(ObjectId object, const Error& why);

    WorkerPool& workers_;
    EventLoop& loop_;
    RequestHandler& handler_;
    Place place_;
    std::uint32_t last_object_ = 0;
    std::uint32_t last_message_ = 0;
    std::unordered_map<ObjectId, Object> objects_;
    std::map<Digest, ObjectId> by_digest_;
    std::unordered_map<MessageId, Reading> reads_;
    TaskScope tasks_; // last: its tasks touch all of the above
};

} // namespace sluice::protocol
