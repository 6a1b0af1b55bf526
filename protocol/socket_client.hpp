// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/function.hpp"
#include "protocol/socket_objects.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace sluice::protocol {

/// Counted since the device was started; a plain copy.
struct SocketStats {
    std::uint64_t clients = 0; ///< that ever connected
    std::uint64_t refused = 0; ///< of them: no access, or too many
    std::uint64_t opens = 0;
    std::uint64_t opens_accepted = 0;
    std::uint64_t opens_rejected = 0;
    std::uint64_t closes = 0;
    std::uint64_t reads = 0;
    std::uint64_t reads_answered = 0; ///< failed ones included
    std::uint64_t reads_failed = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t malformed = 0; ///< connections that ended for what the client has sent
    std::uint64_t stalled = 0;   ///< connections that ended because the client did not read, or not speak
    std::size_t connected = 0;   ///< at this moment, as all below
    std::size_t open_objects = 0;
};

/// What clients may name. Asked on the loop's thread; must not wait.
struct SocketNames {
    /// The cookie of the blob with this digest; the errno of the failure goes to the client, here as below.
    std::function<Result<std::string>(const Digest&)> find_blob;
    /// The cookie of `layer` and `device` of a registered image.
    std::function<Result<std::string>(const std::string& reference, std::uint32_t layer, std::uint32_t device)>
        find_part;
};

/// One client's connection. Nothing that it sends, or does not read, costs more than a bounded amount of memory and
/// anybody else's time. Its end gives back all that it has opened. On the loop's thread; held by a shared_ptr.
class SocketClient final : public SocketAsker, public std::enable_shared_from_this<SocketClient> {
public:
    struct Surroundings {
        SocketObjects& objects;
        const SocketNames& names;
        SocketStats& stats;
        SocketLimits limits;
        milliseconds patience; ///< with a client that does not say HELLO, or does not read its answers
    };

    using Ended = UniqueFunction<void(SocketClient&, const std::string& why)>;

    /// `refusal`: 0, or the negative errno that its HELLO is answered with. `ended` is called once, unless the
    /// connection is destroyed before; it must not destroy it from within.
    SocketClient(EventLoop& loop, UniqueFd socket, int refusal, Surroundings surroundings, Ended ended);
    ~SocketClient() override;

    void opened(WireId id, Result<SocketOpened> outcome) override;
    void read_done(std::uint32_t token, int status) override;

private:
    struct Outgoing {
        SocketAnswer bytes;
        UniqueFd fd;
    };

    struct Request {
        std::uint16_t opcode = 0;
        std::uint32_t object = 0; ///< of a READ
        std::uint32_t token = 0;  ///< of a READ: its key in in_core_
    };

    void on_events(std::uint32_t events);
    void drain();
    void handle(const SocketMessage& message);
    void handle(const SocketHello& hello);
    void open(std::uint16_t opcode, WireId id, const Result<std::string>& cookie);
    void handle(const SocketRead& read);
    void handle(const SocketClose& close);
    void handle(const SocketCancel& cancel);
    [[nodiscard]] bool take_request(std::uint16_t opcode, WireId id, std::uint32_t object);
    void answer(SocketAnswer bytes, UniqueFd fd = {});
    void flush();
    [[nodiscard]] int send(const Outgoing& message) const;
    void update_watch();
    void end(const std::string& why);

    UniqueFd socket_;
    int refusal_;
    Surroundings with_;
    Ended ended_;
    bool greeted_ = false;
    bool over_ = false;
    std::uint32_t last_object_ = 0;
    std::uint32_t last_token_ = 0;
    std::map<std::uint32_t, WireId> in_core_; ///< READs that the core has not answered, cancelled ones included
    std::map<std::uint32_t, ObjectId> objects_;
    std::map<WireId, Request> requests_;
    std::deque<Outgoing> queue_;
    Timer timer_;
    std::unique_ptr<IoSource> source_; // last: its callback touches all of the above
};

} // namespace sluice::protocol
