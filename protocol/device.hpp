// SPDX-License-Identifier: Apache-2.0
//
// The seam between the core and whatever asks it for blobs. Nothing here speaks of cachefiles, FUSE or sockets.
#pragma once

#include "base/byte_range.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "protocol/device_stats.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice::protocol {

/// A blob's backing file as one generation of an opened object sees it. Its holes are the truth about what is missing.
/// Thread-safe: workers write while the loop probes. The descriptor is closed with the last reference.
class ObjectHandle {
public:
    ObjectHandle() = default;
    ObjectHandle(const ObjectHandle&) = delete;
    ObjectHandle& operator=(const ObjectHandle&) = delete;
    virtual ~ObjectHandle() = default;

    /// Writes all of `data` at `offset`: both multiples of kBlockSize, memory aligned to it. What returns success is
    /// visible to readers at once, so only proved bytes may be passed. Runs on a worker; blocks for the disk.
    [[nodiscard]] virtual Result<void> write(std::uint64_t offset, std::span<const std::byte> data) = 0;

    /// What of `range` (any alignment) is not in the file, as sorted block-aligned ranges; does not block for long.
    [[nodiscard]] virtual Result<std::vector<ByteRange>> missing(ByteRange range) const = 0;
};

/// How an obligation is paid; implemented by each front end. Called on the loop's thread.
class Answerer {
public:
    Answerer() = default;
    Answerer(const Answerer&) = delete;
    Answerer& operator=(const Answerer&) = delete;
    virtual ~Answerer() = default;

    virtual void answer_open(ObjectId object, MessageId message, Result<std::uint64_t> size) = 0;
    /// The answer carries no status: the asker probes the file itself, and a hole still there is its error.
    virtual void answer_read(ObjectId object, MessageId message) = 0;
};

/// A READ that somebody sleeps on. Answered exactly once on every path: by complete(), or by the destructor.
/// Move-only; belongs to the loop's thread. `answerer` dying first (expired) means there is nobody left to answer.
class PendingRead {
public:
    PendingRead(std::weak_ptr<Answerer> answerer, ObjectId object, MessageId message) noexcept;
    PendingRead(PendingRead&& other) noexcept = default;
    PendingRead& operator=(PendingRead&& other) noexcept;
    PendingRead(const PendingRead&) = delete;
    PendingRead& operator=(const PendingRead&) = delete;
    ~PendingRead();

    void complete();

private:
    std::weak_ptr<Answerer> answerer_;
    ObjectId object_;
    MessageId message_;
};

/// An OPEN that a mount sleeps on, uninterruptibly. Answered exactly once: accept(), reject(), or rejected with EIO by
/// the destructor. Move-only; belongs to the loop's thread.
class PendingOpen {
public:
    PendingOpen(std::weak_ptr<Answerer> answerer, ObjectId object, MessageId message) noexcept;
    PendingOpen(PendingOpen&& other) noexcept = default;
    PendingOpen& operator=(PendingOpen&& other) noexcept;
    PendingOpen(const PendingOpen&) = delete;
    PendingOpen& operator=(const PendingOpen&) = delete;
    ~PendingOpen();

    /// `size` bytes is what the object holds; it must be the same at every opening of the same blob.
    void accept(std::uint64_t size);

    /// `code` is a positive errno, 1 to 4095.
    void reject(int code);

private:
    std::weak_ptr<Answerer> answerer_;
    ObjectId object_;
    MessageId message_;
};

struct OpenRequest {
    ObjectId object;
    std::string volume;                   ///< binary; without the terminator that a front end may add
    std::string cookie;                   ///< binary; which blob
    std::shared_ptr<ObjectHandle> handle; ///< writable only after accept()
    PendingOpen pending;
};

struct ReadRequest {
    ObjectId object;
    ByteRange range; ///< not empty; may reach beyond the end of the blob
    PendingRead pending;
    /// The asker has looked, and has found a hole there. Who has not looks when it is answered, and asks again with
    /// this set when it finds a hole after all.
    bool found_hole = true;
};

/// The core's side: told on the loop's thread, one request at a time.
class RequestHandler {
public:
    RequestHandler() = default;
    RequestHandler(const RequestHandler&) = delete;
    RequestHandler& operator=(const RequestHandler&) = delete;
    virtual ~RequestHandler() = default;

    virtual void on_open(OpenRequest request) = 0;
    virtual void on_read(ReadRequest request) = 0;
    /// The object is gone, or never was: stop all writes to it and let its handle go.
    virtual void on_close(ObjectId object) = 0;
    /// Nothing more will come; the daemon has to be restarted or to stop.
    virtual void on_device_lost(const Error& why) = 0;
};

/// A front end. start() begins delivery to `handler`, which must outlive the device or its stop().
class Device {
public:
    Device() = default;
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    virtual ~Device() = default;

    [[nodiscard]] virtual Result<void> start(RequestHandler& handler) = 0;
    /// Stops taking requests; those already delivered can still be answered.
    virtual void stop() = 0;

    [[nodiscard]] virtual DeviceStats stats() const = 0;
};

} // namespace sluice::protocol
