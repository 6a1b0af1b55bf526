// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/fd_store.hpp"
#include "base/worker_pool.hpp"
#include "protocol/front_end.hpp"
#include "protocol/socket_client.hpp"
#include "protocol/socket_peer.hpp"

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::protocol {

/// The front end for libsluice: blobs over a SOCK_SEQPACKET Unix socket, without the kernel's help and without root.
/// The bytes themselves go through the backing files, of which clients get read-only descriptors. All calls on the
/// loop's thread.
class LibraryFrontEnd final : public FrontEnd {
public:
    struct Config {
        std::filesystem::path socket;
        std::vector<gid_t> groups; ///< whose members may open blobs, besides root and the user that the daemon runs as
        SocketLimits limits;
        std::size_t max_clients = 512;
        std::size_t max_clients_per_user = 128; ///< root not counted
        milliseconds patience{10'000};
    };

    /// The socket is taken from `descriptors` where a predecessor has left it, and kept there.
    LibraryFrontEnd(EventLoop& loop, WorkerPool& workers, Config config, SocketNames names, FdStore& descriptors);
    ~LibraryFrontEnd() override;

    /// Makes the socket. The error names it.
    [[nodiscard]] Result<void> start(RequestHandler& handler) override;
    /// Ends all connections: what clients wait for they ask the daemon's successor for. The socket goes.
    void stop() override;
    /// As stop(), but the socket stays: who connects meanwhile waits for the successor.
    void leave() override;

    [[nodiscard]] Capabilities capabilities() const override;
    [[nodiscard]] FrontEndStats stats() const override;
    [[nodiscard]] SocketStats socket_stats() const;

private:
    struct Connected {
        std::shared_ptr<SocketClient> client;
        uid_t user = 0;
        std::uint64_t number = 0; ///< in the order of their coming
        bool refused = false;     ///< and only there for its HELLO to be answered
    };

    void accept_some();
    void add(UniqueFd socket, const SocketPeer& peer);
    [[nodiscard]] int refusal(const SocketPeer& peer) const;
    void make_room_for_refused();
    [[nodiscard]] bool complain_about(uid_t user);
    void ended(SocketClient& client, const SocketPeer& peer, const std::string& why);

    EventLoop& loop_;
    WorkerPool& workers_;
    Config config_;
    SocketNames names_;
    FdStore& descriptors_;
    SocketStats stats_;
    std::set<uid_t>
        complained_; ///< users about whose clients a line was logged: one is enough, they could write very many
    UniqueFd listener_;
    std::shared_ptr<LibraryFrontEnd*> self_; // what deferred calls hold weakly
    std::shared_ptr<SocketObjects> objects_;
    std::unordered_map<SocketClient*, Connected> clients_;
    Timer resume_;
    std::unique_ptr<IoSource> source_; // last: its callback touches all of the above
};

} // namespace sluice::protocol
