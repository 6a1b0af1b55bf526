// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/unique_fd.hpp"
#include "daemon/image/reaper_schedule.hpp"
#include "daemon/image/release_service.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace sluice::daemon {

/// Releases layer mounts that nothing uses any more, however they came to be unused: it watches the mount table and has
/// `sluicectl release-layers` look at it, a process of its own because an unmount may sleep, and a thread that sleeps
/// in the kernel would keep the device open if the daemon were killed. When it looks is ReaperSchedule's business. Loop
/// thread only.
///
/// Under systemd, the service manager starts that process when it is asked at a socket, with capabilities that the
/// daemon has not; elsewhere the daemon starts it.
class LayerReaper {
public:
    struct Helper {
        std::string program; ///< the path of sluicectl
        std::string socket;  ///< of the service manager's, asked first; may be empty
    };

    /// Where the mount table cannot be watched, it is looked at when check() is called only.
    LayerReaper(EventLoop& loop, Helper helper, std::string layers_dir, ReaperSchedule::Pace pace = {});

    /// For tests: `table` is read in the place of /proc/self/mountinfo, and not watched.
    LayerReaper(
        EventLoop& loop,
        Helper helper,
        std::string layers_dir,
        ReaperSchedule::Pace pace,
        std::function<std::string()> table
    );

    /// As when the mount table has changed: soon, and at most once at a time.
    void check();

private:
    void decide();
    void look();
    void spawn();
    void cannot_look(const Error& why);
    void ended(const std::string& complaint);

    EventLoop& loop_;
    Helper helper_;
    std::string layers_dir_;
    ReaperSchedule schedule_;
    std::function<std::string()> table_;
    UniqueFd mount_table_;
    Timer delay_;
    bool complained_ = false;
    bool again_ = false;                      ///< the table has changed while the helper was looking at it
    std::optional<TimePoint> ended_at_;       ///< when the helper last was done
    std::unique_ptr<ChildSource> child_;      ///< the helper, where we have started it
    std::unique_ptr<ReleaseRequest> request_; ///< or the service manager has
    std::unique_ptr<IoSource> watch_;
};

} // namespace sluice::daemon
