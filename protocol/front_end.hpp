// SPDX-License-Identifier: Apache-2.0
//
// The seam between the core and whatever asks it for blobs. Nothing here speaks of cachefiles, FUSE or sockets.
#pragma once

#include "base/byte_range.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "protocol/file_removal.hpp"
#include "protocol/front_end_stats.hpp"
#include "protocol/object_handle.hpp"
#include "protocol/pending.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::protocol {

/// What the core has to know of a front end. A new front end describes itself here, and nothing else asks for its name.
struct Capabilities {
    std::string_view name;    ///< as `front-end` in the configuration, `status` and the log call it
    bool serves_mounts;       ///< EROFS is mounted over it
    bool brings_handles;      ///< its OPENs bring the descriptor through which the blob has to be written
    bool needs_complete;      ///< a compressed blob may only be opened once all of it is on the disk
    bool readers_see_errors;  ///< the asker of a READ is told why it failed, not only that it did
    bool can_restore = false; ///< requests that a predecessor left unanswered come again
    std::string blobs_dir{};  ///< where each blob is a file to mount from; empty where no file is needed
    /// What the mount table shows as the source of an EROFS mount; one with another source was left by a daemon whose
    /// mounts nobody serves any more. Empty where the file that is mounted is the source.
    std::string mount_source{};
};

struct OpenRequest {
    ObjectId object;
    std::string volume;                   ///< binary; without the terminator that a front end may add
    std::string cookie;                   ///< binary; which blob
    std::shared_ptr<ObjectHandle> handle; ///< writable only after accept(); null unless the front end brings handles
    PendingOpen pending;
};

struct ReadRequest {
    ObjectId object;
    ByteRange range; ///< not empty; may reach beyond the end of the blob
    PendingRead pending;
    /// The asker has looked into the file and has found a hole. An asker that has not looked does so when it is
    /// answered; when it finds a hole after all, it asks once more with this set.
    bool found_hole = true;
    /// When it was handed out, maybe to a predecessor of this process: its deadline is counted from there.
    TimePoint arrival = SteadyClock::now();
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
    /// The object is gone, or never was: stop all writes through its handle and let that go. An OPEN that was not yet
    /// answered may be dropped.
    virtual void on_close(ObjectId object) = 0;
    /// Nothing more will come; the daemon has to be restarted or to stop.
    virtual void on_front_end_lost(const Error& why) = 0;
};

/// One way into the daemon. start() begins delivery to `handler`, which must outlive the front end or its stop().
class FrontEnd {
public:
    FrontEnd() = default;
    FrontEnd(const FrontEnd&) = delete;
    FrontEnd& operator=(const FrontEnd&) = delete;
    virtual ~FrontEnd() = default;

    [[nodiscard]] virtual Result<void> start(RequestHandler& handler) = 0;
    /// Stops taking requests; those already delivered can still be answered.
    /// What is mounted over it ends with it.
    virtual void stop() = 0;

    /// Takes no more requests; what is mounted stays, for the successor, which answers what was not answered.
    virtual void leave() { stop(); }

    /// What it can do on this kernel: final once it was started.
    [[nodiscard]] virtual Capabilities capabilities() const = 0;
    [[nodiscard]] virtual FrontEndStats stats() const = 0;

    /// Removes the backing file of a blob that nobody has open in the core, between start() and this object's end. As
    /// remove_file(), on the same kind of thread.
    [[nodiscard]] virtual Result<void> remove(const std::filesystem::path& file) { return remove_file(file); }
};

} // namespace sluice::protocol
