// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/unique_fd.hpp"
#include "lib/answers.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice::lib {

using TimePoint = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

/// The client's side of the conversation as a state machine: what is asked for, what of it is on its way, and what has
/// to be said again after the connection was lost. It has no descriptors, clocks or threads of its own: the time and
/// what happens to the connection are told to it. Not thread-safe.
///
/// Each request ends exactly once, by its `Done`, with 0 or a negative errno; that is called from within whatever
/// brought the end about, and must not call back.
class Session {
public:
    using BlobId = std::uint32_t;
    using RequestId = std::uint32_t; ///< never 0
    using Done = std::function<void(int status)>;
    /// Takes the descriptor of a blob that was opened, again maybe; a negative errno refuses it. No descriptor: this
    /// process had no number free for it.
    using Adopt = std::function<int(const OpenedObject& opened, UniqueFd fd)>;

    // What callers want.

    /// Nothing is sent before the first request for the blob.
    BlobId add_blob(BlobName name, Adopt adopt);
    /// Its requests end with -ECANCELED.
    void remove_blob(BlobId blob);
    /// Ends when there is a connection. Without `patience` the first attempt that fails ends it, too.
    RequestId greet(TimePoint deadline, bool patience, Done done);
    RequestId open(BlobId blob, TimePoint deadline, Done done);
    /// `length` is at most limits().read.
    RequestId read(BlobId blob, std::uint64_t offset, std::uint64_t length, TimePoint deadline, Done done);
    /// False when it has ended already.
    bool cancel(RequestId request, int status);
    void cancel_all(int status);

    // What happens.

    void connected();
    /// The connection is gone, or could not be made. What was on its way will be sent again.
    void disconnected(TimePoint now, int error);
    /// One message. False: it makes no sense, and the connection has to be given up. `fd_lost`: a descriptor belongs to
    /// it that did not get here.
    [[nodiscard]] bool received(std::span<const std::byte> bytes, UniqueFd fd, bool fd_lost = false);
    /// Ends what is overdue with -ETIMEDOUT.
    void expire(TimePoint now);

    // What is to be done.

    /// The message to be sent next, the same one until sent(); null: none.
    [[nodiscard]] const Bytes* next();
    void sent();

    [[nodiscard]] bool wants_connection() const noexcept { return !linked_ && !requests_.empty(); }

    /// When to try to connect.
    [[nodiscard]] TimePoint connect_at() const noexcept { return connect_at_; }

    /// When expire() or a connection is due; nothing: not before something else happens.
    [[nodiscard]] std::optional<TimePoint> wake_at() const;

    /// The daemon's last word on them.
    [[nodiscard]] const Limits& limits() const noexcept { return limits_; }

private:
    enum class Kind : std::uint8_t { kGreet, kOpen, kRead };
    enum class Open : std::uint8_t { kNo, kAsked, kYes };

    struct Request {
        Kind kind = Kind::kGreet;
        bool sent = false;
        bool patience = true;
        BlobId blob = 0;
        std::uint64_t offset = 0;
        std::uint64_t length = 0;
        TimePoint deadline;
        Done done;
    };

    struct Blob {
        BlobName name;
        Adopt adopt;
        Open state = Open::kNo;
        std::uint32_t object = 0;
        bool removed = false; ///< and only waits for the answer to its OPEN
        std::set<RequestId> requests;
    };

    /// What an answer will be about. A READ that ended here is still somebody's in the daemon.
    struct Expected {
        std::uint16_t opcode = 0;
        BlobId blob = 0;
    };

    RequestId add(Request request);
    void forget(RequestId request) noexcept;
    void end(RequestId request, int status);
    void end_of_blob(BlobId blob, int status);
    [[nodiscard]] std::uint32_t fresh_id();
    void expect(std::uint32_t id, std::uint16_t opcode, BlobId blob);
    void queue_unsent(const Blob& blob);
    [[nodiscard]] std::optional<Bytes> next_request();
    void end_greetings(int status, bool patient_ones);
    [[nodiscard]] bool on_hello(const Answer& answer);
    [[nodiscard]] bool on_open(BlobId blob, const Answer& answer, UniqueFd fd, bool fd_lost);

    bool linked_ = false;
    bool greeted_ = false; ///< HELLO was answered on this connection
    bool hello_sent_ = false;
    Limits limits_;
    TimePoint connect_at_{};
    milliseconds delay_{0};
    std::uint32_t last_id_ = 0;
    std::map<RequestId, Request> requests_;
    std::set<std::pair<TimePoint, RequestId>> deadlines_;
    std::unordered_map<BlobId, Blob> blobs_;
    std::deque<RequestId> unsent_; ///< may hold ids that have ended or are sent
    std::unordered_map<std::uint32_t, Expected> expected_;
    std::deque<Bytes> notices_; ///< CLOSE and CANCEL
    std::optional<Bytes> outgoing_;
};

} // namespace sluice::lib
