// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/fd_store.hpp"
#include "base/task.hpp"
#include "base/unique_fd.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>

struct MHD_Daemon;

namespace sluice::daemon {

/// Who is at the other end of the socket, as the kernel says (SO_PEERCRED).
struct Peer {
    pid_t pid = -1;
    uid_t uid = static_cast<uid_t>(-1);
    gid_t gid = static_cast<gid_t>(-1);
};

struct ControlRequest {
    std::string method;
    std::string path; ///< decoded, without the query
    std::map<std::string, std::string> query;
    std::string body; ///< at most ControlServer::kMaxBody bytes
    Peer peer;
};

struct ControlReply {
    unsigned status = 200;
    std::string body;
    const char* type = "application/json";
};

/// HTTP on a Unix socket, in the daemon's own loop: libmicrohttpd's epoll descriptor is watched like any other, and a
/// request whose task takes long is suspended, not waited for. Loop thread only. Throws std::runtime_error when the
/// socket cannot be made.
class ControlServer {
public:
    static constexpr std::size_t kMaxBody = 64 * 1024;
    static constexpr unsigned kMaxConnections = 256;

    using Handler = std::function<Task<ControlReply>(ControlRequest)>;

    struct Options {
        std::string socket_path;
        mode_t mode = 0600;
        gid_t group = static_cast<gid_t>(-1); ///< of the socket file; -1 leaves it
    };

    /// The socket is taken from `descriptors` where a predecessor has left it, and kept there.
    ControlServer(EventLoop& loop, const Options& options, Handler handler, FdStore& descriptors);

    /// On a socket that listens already, which ends with this object. `what`: what errors call it.
    ControlServer(EventLoop& loop, const std::string& what, UniqueFd listener, unsigned connections, Handler handler);
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;
    ~ControlServer();

    /// The socket stays, for a successor; who waits is told to ask again. Takes no more requests.
    void leave();

private:
    struct Callbacks; // the C side
    struct Connection;

    void start(const std::string& what, UniqueFd listener, unsigned connections);
    void answer_waiting(const ControlReply& reply);
    void run();
    Task<void> serve(Connection* connection);

    EventLoop& loop_;
    Handler handler_;
    std::string socket_path_;        // empty where there is none to take away
    FdStore* descriptors_ = nullptr; // which has the socket for a successor; null: none has
    bool leaving_ = false;
    std::optional<ControlReply> last_words_; ///< it takes no more requests: the answer to all
    std::map<Connection*, std::unique_ptr<Connection>> connections_;
    TaskScope tasks_;
    MHD_Daemon* daemon_ = nullptr;
    std::unique_ptr<Timer> timer_;
    std::unique_ptr<IoSource> source_;
};

} // namespace sluice::daemon
