// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_server.hpp"

#include "base/unix_listener.hpp"

#include <fmt/format.h>
#include <microhttpd.h>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace sluice::daemon {

struct ControlServer::Connection {
    MHD_Connection* mhd = nullptr;
    ControlRequest request;
    std::optional<ControlReply> reply;
    bool started = false;
    bool suspended = false;
    bool body_too_large = false;
};

namespace {

constexpr std::string_view kSocketName = "control"; ///< in the descriptor store
constexpr int kTurnsToSayIt = 4;                    ///< of libmicrohttpd, for each state that an answer goes through

const ControlReply& stopping()
{
    static const ControlReply kReply{503, R"({"error":{"kind":"cancelled","message":"sluiced is stopping"}})"};
    return kReply;
}

const ControlReply& restarting()
{
    static const ControlReply kReply{
        503, R"({"error":{"kind":"transient","message":"sluiced is being restarted; ask again"}})"};
    return kReply;
}

UniqueFd listen_on(const ControlServer::Options& options, FdStore& descriptors)
{
    UnixListener listener{"control socket", options.socket_path, SOCK_STREAM, options.mode, {}};
    if (options.group != static_cast<gid_t>(-1)) {
        listener.group = options.group;
    }
    auto fd = listen_kept(descriptors, kSocketName, listener);
    if (!fd) {
        throw std::runtime_error{fd.error().text()};
    }
    return std::move(*fd);
}

} // namespace

/// Trampolines: nothing may be thrown through libmicrohttpd.
struct ControlServer::Callbacks {
    static MHD_Result query_value(void* out, MHD_ValueKind, const char* key, const char* value)
    {
        static_cast<std::map<std::string, std::string>*>(out)->insert_or_assign(key, value == nullptr ? "" : value);
        return MHD_YES;
    }

    static Connection* begin(ControlServer& self, MHD_Connection* mhd, const char* url, const char* method)
    {
        auto connection = std::make_unique<Connection>();
        connection->mhd = mhd;
        connection->request.method = method;
        connection->request.path = url;
        MHD_get_connection_values(mhd, MHD_GET_ARGUMENT_KIND, &Callbacks::query_value, &connection->request.query);
        const auto* info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        ucred credentials{};
        socklen_t size = sizeof credentials;
        if (info != nullptr && ::getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
            connection->request.peer = {credentials.pid, credentials.uid, credentials.gid};
        }
        auto* raw = connection.get();
        self.connections_.emplace(raw, std::move(connection));
        return raw;
    }

    static MHD_Result queue(MHD_Connection* mhd, const ControlReply& reply)
    {
        auto* response = MHD_create_response_from_buffer(
            reply.body.size(),
            const_cast<char*>(reply.body.data()), // NOLINT: copied, as the next argument says
            MHD_RESPMEM_MUST_COPY
        );
        if (response == nullptr) {
            return MHD_NO;
        }
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply.type);
        const auto queued = MHD_queue_response(mhd, reply.status, response);
        MHD_destroy_response(response);
        return queued;
    }

    static MHD_Result access(
        void* server,
        MHD_Connection* mhd,
        const char* url,
        const char* method,
        const char*,
        const char* upload,
        size_t* upload_size,
        void** context
    ) noexcept
    {
        try {
            auto& self = *static_cast<ControlServer*>(server);
            if (*context == nullptr) {
                *context = begin(self, mhd, url, method);
                return MHD_YES;
            }
            auto* connection = static_cast<Connection*>(*context);
            if (*upload_size > 0) {
                auto& body = connection->request.body;
                connection->body_too_large |= body.size() + *upload_size > kMaxBody;
                if (!connection->body_too_large) {
                    body.append(upload, *upload_size);
                }
                *upload_size = 0;
                return MHD_YES;
            }
            if (connection->body_too_large) {
                return queue(mhd, {413, R"({"error":{"kind":"invalid","message":"the request's body is too large"}})"});
            }
            if (self.last_words_ && !connection->reply) {
                connection->reply = self.last_words_;
            }
            if (!connection->started && !connection->reply) {
                connection->started = true;
                self.tasks_.spawn(self.serve(connection));
            }
            if (connection->reply) {
                return queue(mhd, *connection->reply);
            }
            connection->suspended = true;
            MHD_suspend_connection(mhd);
            return MHD_YES;
        } catch (...) { // out of memory: this connection is closed, the daemon lives
            return MHD_NO;
        }
    }

    static void completed(void* server, MHD_Connection*, void** context, MHD_RequestTerminationCode) noexcept
    {
        auto& self = *static_cast<ControlServer*>(server);
        self.connections_.erase(static_cast<Connection*>(*context));
        *context = nullptr;
    }
};

ControlServer::ControlServer(EventLoop& loop, const Options& options, Handler handler, FdStore& descriptors)
    : loop_{loop}
    , handler_{std::move(handler)}
    , socket_path_{options.socket_path}
    , descriptors_{&descriptors}
    , tasks_{loop}
{
    start("control socket " + socket_path_, listen_on(options, descriptors), kMaxConnections);
}

ControlServer::ControlServer(
    EventLoop& loop, const std::string& what, UniqueFd listener, unsigned connections, Handler handler
)
    : loop_{loop}, handler_{std::move(handler)}, tasks_{loop}
{
    start(what, std::move(listener), connections);
}

void ControlServer::start(const std::string& what, UniqueFd listener, unsigned connections)
{
    daemon_ = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME,
        0,
        nullptr,
        nullptr,
        &Callbacks::access,
        this,
        MHD_OPTION_LISTEN_SOCKET,
        listener.get(),
        MHD_OPTION_NOTIFY_COMPLETED,
        &Callbacks::completed,
        this,
        MHD_OPTION_CONNECTION_LIMIT,
        connections,
        MHD_OPTION_CONNECTION_TIMEOUT,
        60U,
        MHD_OPTION_END
    );
    if (daemon_ == nullptr) {
        throw std::runtime_error{what + ": cannot start the HTTP server"};
    }
    (void)listener.release(); // libmicrohttpd closes it
    timer_ = std::make_unique<Timer>(
        loop_, [this] { run(); }, "control server: timer"
    );
    const auto* info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    source_ = std::make_unique<IoSource>(
        loop_, info->epoll_fd, EPOLLIN, [this](std::uint32_t) { run(); }, "control server: requests"
    );
}

ControlServer::~ControlServer()
{
    if (leaving_) {
        answer_waiting(restarting());
    } else {
        // Somebody may hold the listener for us until it hears that it is to be forgotten: nobody connects to that.
        const UniqueFd listener{kAdoptFd, MHD_quiesce_daemon(daemon_)};
        ::shutdown(listener.get(), SHUT_RDWR);
        answer_waiting(stopping());
        if (!socket_path_.empty()) {
            ::unlink(socket_path_.c_str());
        }
        if (descriptors_ != nullptr) {
            descriptors_->forget(kSocketName);
        }
    }
    MHD_stop_daemon(daemon_);
}

void ControlServer::leave()
{
    if (std::exchange(leaving_, true)) {
        return;
    }
    // libmicrohttpd would shut the socket down, which the successor goes on with.
    const UniqueFd listener{kAdoptFd, MHD_quiesce_daemon(daemon_)};
    answer_waiting(restarting());
}

void ControlServer::answer_waiting(const ControlReply& reply)
{
    last_words_ = reply; // for those, too, whose request is read in the turns below
    tasks_.cancel_all();
    source_.reset();
    timer_.reset();
    // libmicrohttpd may not be stopped with suspended connections.
    for (const auto& [raw, connection] : connections_) {
        if (connection->suspended) {
            connection->reply = reply;
            connection->suspended = false;
            MHD_resume_connection(connection->mhd);
        }
    }
    for (int i = 0; i < kTurnsToSayIt; ++i) {
        MHD_run(daemon_);
    }
}

void ControlServer::run()
{
    MHD_run(daemon_);
    MHD_UNSIGNED_LONG_LONG wait = 0;
    if (MHD_get_timeout(daemon_, &wait) == MHD_YES) {
        timer_->arm(milliseconds{static_cast<std::int64_t>(wait)});
    } else {
        timer_->cancel();
    }
}

Task<void> ControlServer::serve(Connection* connection)
{
    // The connection outlives this task: it is completed only after a reply was queued, or by the destructor.
    auto request = std::move(connection->request);
    auto reply = co_await handler_(std::move(request));
    connection->reply = std::move(reply);
    if (connection->suspended) {
        connection->suspended = false;
        MHD_resume_connection(connection->mhd);
        timer_->arm(milliseconds{0}); // run() from the loop, not from whatever ended the task
    }
}

} // namespace sluice::daemon
