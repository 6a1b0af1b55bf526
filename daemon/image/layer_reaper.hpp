// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/unique_fd.hpp"
#include "daemon/image/reaper_schedule.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace sluice::daemon {

/// Releases layer mounts that nothing uses any more, however they came to be unused: it watches the mount table and has
/// `sluicectl release-layers` look at it, a process of its own because an unmount may sleep, and a thread that sleeps
/// in the kernel would keep the device open if the daemon were killed. When it looks is ReaperSchedule's business. Loop
/// thread only.
class LayerReaper {
public:
    /// `program` is the path of sluicectl. Where the mount table cannot be watched, it is looked at when check() is
    /// called only.
    LayerReaper(EventLoop& loop, std::string program, std::string layers_dir, ReaperSchedule::Pace pace = {});

    /// For tests: `table` is read in the place of /proc/self/mountinfo, and not watched.
    LayerReaper(
        EventLoop& loop,
        std::string program,
        std::string layers_dir,
        ReaperSchedule::Pace pace,
        std::function<std::string()> table
    );

    /// As when the mount table has changed: soon, and at most once at a time.
    void check();

private:
    void decide();
    void spawn();
    void ended(int status);

    EventLoop& loop_;
    std::string program_;
    std::string layers_dir_;
    ReaperSchedule schedule_;
    std::function<std::string()> table_;
    UniqueFd mount_table_;
    Timer delay_;
    bool complained_ = false;
    bool again_ = false;                ///< the table has changed while the child was looking at it
    std::optional<TimePoint> ended_at_; ///< when the child last was done
    std::unique_ptr<ChildSource> child_;
    std::unique_ptr<IoSource> watch_;
};

} // namespace sluice::daemon
