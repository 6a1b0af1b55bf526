// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "protocol/front_end.hpp"
#include "protocol/fuse_reader.hpp"
#include "protocol/fuse_request.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::protocol {

/// The openings of blobs through the FUSE file system, one object for each open file, and the answers that go back to
/// them. An object's id is the open file's handle. Loop thread only.
///
/// What was open under a predecessor is opened anew in the core; its READs wait for that. The rule about an OPEN that
/// the predecessor had in hand: the opening is recorded before the answer is given, and the handle of the answer is
/// noted beside the request before that. The kernel waits for the answer of an OPEN that it has handed out even when
/// its opener is killed, and then sends a RELEASE. So when it does not take the answer of an OPEN whose opening was
/// recorded before, a predecessor has given it: the opening stays, and its RELEASE comes. If it was not recorded, the
/// kernel has never heard of that handle, and the opening is dropped.
class FuseObjects final : public Answerer, public std::enable_shared_from_this<FuseObjects> {
public:
    struct Parts {
        EventLoop& loop;
        FuseReader reader;
        std::string volume; ///< that all blobs are in
        std::shared_ptr<FuseChannel> channel;
        RequestHandler& handler;    ///< outlives this object, or its last answer
        milliseconds read_deadline; ///< a READ whose blob is not open by then is answered ETIMEDOUT
    };

    explicit FuseObjects(Parts parts);

    /// Opens in the core what a predecessor has left open.
    void reopen();

    void open(FuseRequest opener, std::uint64_t node);
    /// An OPEN of what is not there any more.
    void refuse(FuseRequest opener, int code);
    void read(FuseRequest request, std::uint64_t handle, std::uint64_t offset, std::size_t size);
    void release(FuseRequest request, std::uint64_t handle);

    /// Tells the core, later, that nothing more will come.
    void lose(Error why);

    [[nodiscard]] FrontEndStats stats() const;

    void answer_open(ObjectId object, MessageId message, Result<OpenedBlob> outcome) override;
    void answer_read(ObjectId object, MessageId message, Result<void> outcome) override;

private:
    struct Asked {
        ByteRange range;
        FuseRequest request;
        TimePoint due{}; ///< of one that waits for an opening
    };

    struct Opening {
        std::uint64_t node = 0;
        FuseRequest opener;       ///< none when a predecessor has answered it
        std::vector<Asked> reads; ///< that came before it was open
    };

    struct Read {
        ByteRange range;
        FuseRequest request;
        bool has_looked = false; ///< a hole that is there when the READ is answered is an error
    };

    [[nodiscard]] Asked waiting(ByteRange range, FuseRequest request);
    void answer_late_reads();
    void begin(std::uint64_t handle, std::uint64_t node, FuseRequest opener, std::vector<Asked> reads);
    [[nodiscard]] bool tell_opener(ObjectId object, Opening& opening);
    void ask(ObjectId object, ByteRange range, FuseRequest request, bool has_looked);
    /// From any thread.
    static void
    ask_later(EventLoop& loop, std::weak_ptr<FuseObjects> weak, ObjectId object, Asked asked, bool has_looked);
    /// What was recorded as open is so no more.
    void close(std::uint64_t handle);
    void close_later(ObjectId object);

    [[nodiscard]] FuseState& state() noexcept { return parts_.channel->state(); }

    Parts parts_;
    FrontEndStats stats_;
    std::unordered_map<ObjectId, Opening> opening_;
    std::unordered_map<ObjectId, OpenedBlob> open_;
    std::unordered_map<MessageId, Read> reads_;
    std::uint32_t last_message_ = 0;
    bool has_told_full_ = false;
    TimePoint next_due_ = TimePoint::max(); ///< what late_ is armed for
    Timer late_;                            // last: its callback touches all of the above
};

} // namespace sluice::protocol
