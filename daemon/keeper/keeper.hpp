// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "daemon/keeper/child.hpp"
#include "daemon/keeper/notify_socket.hpp"
#include "daemon/keeper/restart_policy.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::daemon {

/// `sluiced --keeper`: what systemd is to sluiced.service, for machines without it. It starts the daemon, keeps the
/// descriptors that the daemon hands it, and starts the next one with them when it ends. SIGTERM and SIGINT end both,
/// SIGHUP replaces the daemon. It serves nothing itself and has no threads: there is little in it that could die.
class Keeper {
public:
    struct Options {
        std::vector<std::string> command; ///< the daemon: its program's path, and arguments
        milliseconds watchdog{15'000};    ///< a daemon that is silent for longer is killed
        milliseconds stop_limit{120'000}; ///< so is one that takes longer to start or to end
    };

    /// Throws std::system_error where signals cannot be watched.
    Keeper(EventLoop& loop, Options options, NotifySocket socket);
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;
    ~Keeper();

    /// Starts the daemon. The rest happens on the loop, which ends with the exit status.
    void start();

private:
    void end();
    void replace();
    void signal_child(int signal);
    void take_notifications();
    void handle(Notification notification);
    void store(Notification notification);
    void forward(const Notification& notification);
    void starved();
    void child_ended(int status);
    void give_up(int status);

    EventLoop& loop_;
    Options options_;
    NotifySocket socket_;
    RestartPolicy policy_;
    std::vector<KeptDescriptor> kept_;
    pid_t child_ = -1;
    bool ending_ = false;    ///< for good
    bool leaving_ = false;   ///< this child was asked to end
    bool stopping_ = false;  ///< this child has said that it ends
    bool killed_it_ = false; ///< this child was killed by the keeper
    std::optional<TimePoint> ready_since_;
    Timer hunger_; ///< runs out when the child has not fed it
    Timer again_;  ///< the pause before the next start
    std::unique_ptr<ChildSource> child_source_;
    std::vector<std::unique_ptr<SignalSource>> signals_;
    IoSource notifications_; // last: its callback touches all of the above
};

} // namespace sluice::daemon
