// SPDX-License-Identifier: Apache-2.0
#include "protocol/library_front_end.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "base/unix_listener.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace sluice::protocol {

namespace {

constexpr std::string_view kSocketName = "library"; ///< in the descriptor store
constexpr int kAcceptsPerTurn = 16;
constexpr std::ptrdiff_t kMostRefused = 32; ///< who may wait at a time to be told that they are refused
constexpr milliseconds kPause{500};         ///< when there is no descriptor to accept with

/// Who may connect at all: the finer distinction is made by peer credentials.
mode_t socket_mode(std::size_t groups) noexcept
{
    return groups == 0 ? 0600 : groups == 1 ? 0660 : 0666;
}

} // namespace

LibraryFrontEnd::LibraryFrontEnd(
    EventLoop& loop, WorkerPool& workers, Config config, SocketNames names, FdStore& descriptors
)
    : loop_{loop}
    , workers_{workers}
    , config_{std::move(config)}
    , names_{std::move(names)}
    , descriptors_{descriptors}
    , self_{std::make_shared<LibraryFrontEnd*>(this)}
    , resume_{loop, [this] { source_->set_events(EPOLLIN); }}
{}

LibraryFrontEnd::~LibraryFrontEnd()
{
    if (descriptors_.keeps()) {
        leave();
    } else {
        stop();
    }
}

Result<void> LibraryFrontEnd::start(RequestHandler& handler)
{
    assert(loop_.in_loop_thread() && !listener_);
    const auto& groups = config_.groups;
    UnixListener wanted{"library socket", config_.socket, SOCK_SEQPACKET, socket_mode(groups.size()), {}};
    if (groups.size() == 1) {
        wanted.group = groups.front();
    }
    auto listener = listen_kept(descriptors_, kSocketName, wanted);
    if (!listener) {
        return fail(listener.error());
    }
    listener_ = std::move(*listener);
    objects_ = std::make_shared<SocketObjects>(loop_, workers_, handler);
    source_ = std::make_unique<IoSource>(
        loop_, listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_some(); }, "library: new connections"
    );
    return {};
}

void LibraryFrontEnd::stop()
{
    if (listener_) {
        ::unlink(config_.socket.c_str());
        descriptors_.forget(kSocketName);
    }
    leave();
}

void LibraryFrontEnd::leave()
{
    resume_.cancel();
    source_.reset();
    listener_.reset();
    clients_.clear();
}

Capabilities LibraryFrontEnd::capabilities() const
{
    return Capabilities{
        .name = "library",
        .serves_mounts = false,
        .brings_handles = false,
        .needs_complete = false,
        .readers_see_errors = true};
}

FrontEndStats LibraryFrontEnd::stats() const
{
    FrontEndStats stats;
    stats.opens = stats_.opens;
    stats.opens_accepted = stats_.opens_accepted;
    stats.opens_rejected = stats_.opens_rejected;
    stats.reads = stats_.reads;
    stats.reads_answered = stats_.reads_answered;
    stats.reads_forgotten = stats_.cancelled;
    stats.closes = stats_.closes;
    stats.malformed = stats_.malformed;
    stats.open_objects = objects_ ? objects_->size() : 0;
    return stats;
}

SocketStats LibraryFrontEnd::socket_stats() const
{
    auto stats = stats_;
    stats.connected = clients_.size();
    stats.open_objects = objects_ ? objects_->size() : 0;
    return stats;
}

void LibraryFrontEnd::accept_some()
{
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
        UniqueFd socket{kAdoptFd, ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!socket) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                log::warning("library socket: cannot accept a connection: {}", std::system_category().message(errno));
                source_->set_events(0); // it stays readable: without a pause the loop would spin on it
                resume_.arm(kPause);
            }
            return;
        }
        const auto peer = peer_of(socket.get());
        if (peer) {
            add(std::move(socket), *peer);
        }
    }
}

int LibraryFrontEnd::refusal(const SocketPeer& peer) const
{
    const auto ours = [this](gid_t group) { return std::ranges::find(config_.groups, group) != config_.groups.end(); };
    if (peer.uid != 0 && peer.uid != ::geteuid() && std::ranges::none_of(peer.groups, ours)) {
        return -EACCES;
    }
    std::size_t all = 0;
    std::size_t same = 0;
    for (const auto& [client, connected] : clients_) {
        all += connected.refused ? 0U : 1U;
        same += !connected.refused && connected.user == peer.uid ? 1U : 0U;
    }
    const bool too_many = all >= config_.max_clients || (peer.uid != 0 && same >= config_.max_clients_per_user);
    return too_many ? -EBUSY : 0;
}

void LibraryFrontEnd::make_room_for_refused()
{
    // Anybody may connect where there are several groups: strangers must cost neither room nor descriptors that matter.
    const auto refused = [](const auto& entry) { return entry.second.refused; };
    if (std::ranges::count_if(clients_, refused) < kMostRefused) {
        return;
    }
    auto oldest = std::ranges::find_if(clients_, refused);
    for (auto at = oldest; at != clients_.end(); ++at) {
        oldest = at->second.refused && at->second.number < oldest->second.number ? at : oldest;
    }
    clients_.erase(oldest);
}

bool LibraryFrontEnd::complain_about(uid_t user)
{
    constexpr std::size_t kMostUsers = 100;
    return complained_.size() < kMostUsers && complained_.insert(user).second;
}

void LibraryFrontEnd::add(UniqueFd socket, const SocketPeer& peer)
{
    ++stats_.clients;
    const int refused = refusal(peer);
    if (refused != 0) {
        ++stats_.refused;
        make_room_for_refused();
    }
    if (refused == -EACCES && complain_about(peer.uid)) {
        log::warning(
            "library socket: refused process {} of user {}: neither root nor in a library-group", peer.pid, peer.uid
        );
    }
    try {
        auto client = std::make_shared<SocketClient>(
            loop_,
            std::move(socket),
            refused,
            SocketClient::Surroundings{*objects_, names_, stats_, config_.limits, config_.patience},
            [this, peer](SocketClient& who, const std::string& why) { ended(who, peer, why); }
        );
        auto* raw = client.get();
        clients_.emplace(raw, Connected{std::move(client), peer.uid, stats_.clients, refused != 0});
    } catch (const std::system_error& error) {
        log::warning("library socket: cannot serve a connection: {}", error.what()); // it is closed
    }
}

void LibraryFrontEnd::ended(SocketClient& client, const SocketPeer& peer, const std::string& why)
{
    if (!why.empty() && complain_about(peer.uid)) {
        log::info("library socket: process {} of user {} is cut off: {}", peer.pid, peer.uid, printable(why));
    }
    loop_.defer([weak = std::weak_ptr{self_}, gone = &client] {
        if (const auto self = weak.lock()) {
            (*self)->clients_.erase(gone);
        }
    });
}

} // namespace sluice::protocol
