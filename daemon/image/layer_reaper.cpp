// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/layer_reaper.hpp"

#include "base/helper_process.hpp"
#include "base/log.hpp"

#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace sluice::daemon {

namespace {

constexpr const char* kMountTable = "/proc/self/mountinfo";

/// What changes so soon after a look may be the look's own doing.
constexpr milliseconds kAfterALook{1000};

std::string read_mount_table()
{
    std::ifstream in{kMountTable, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

} // namespace

LayerReaper::LayerReaper(EventLoop& loop, std::string program, std::string layers_dir, ReaperSchedule::Pace pace)
    : LayerReaper{loop, std::move(program), std::move(layers_dir), pace, &read_mount_table}
{
    mount_table_ = UniqueFd{kAdoptFd, ::open(kMountTable, O_RDONLY | O_CLOEXEC)};
    if (mount_table_) {
        // The kernel reports a changed table as EPOLLPRI and EPOLLERR, once a change and poller.
        watch_ = std::make_unique<IoSource>(
            loop, mount_table_.get(), EPOLLPRI, [this](std::uint32_t) { check(); }, "reaper: mount table"
        );
    }
}

LayerReaper::LayerReaper(
    EventLoop& loop,
    std::string program,
    std::string layers_dir,
    ReaperSchedule::Pace pace,
    std::function<std::string()> table
)
    : loop_{loop}
    , program_{std::move(program)}
    , layers_dir_{layers_dir}
    , schedule_{std::move(layers_dir), pace}
    , table_{std::move(table)}
    , delay_{loop, [this] { decide(); }, "reaper: mount table"}
{}

void LayerReaper::check()
{
    if (child_ != nullptr) {
        again_ = true;
        return;
    }
    const auto now = SteadyClock::now();
    // The helper's own unmounting is a change, and the kernel gives the numbers of mounts again: a layer that was
    // mounted anew and left again meanwhile may have the very line of the one that was released.
    if (ended_at_ && now < *ended_at_ + kAfterALook) {
        schedule_.forget_last_look();
    }
    delay_.arm_at(schedule_.change(now));
}

void LayerReaper::decide()
{
    const auto verdict = schedule_.decide(SteadyClock::now(), table_());
    if (verdict.look) {
        spawn();
    } else if (verdict.again) {
        delay_.arm_at(*verdict.again);
    }
}

void LayerReaper::spawn()
{
    if (child_ != nullptr) {
        return;
    }
    // It unmounts, and looks at the mount tables of all processes: that takes our capabilities.
    const HelperProgram helper{
        .arguments = {program_, "release-layers", "--layers-dir", layers_dir_},
        .environment = {},
        .errors = STDERR_FILENO,
        .keeps_capabilities = true};
    const auto pid = start_helper(helper);
    if (!pid) {
        if (!std::exchange(complained_, true)) {
            log::warning("{}; unused layer mounts stay", pid.error().text());
        }
        schedule_.forget_last_look();
        return;
    }
    child_ = std::make_unique<ChildSource>(
        loop_, *pid, [this](int status) { ended(status); }, "reaper: end of its helper"
    );
}

void LayerReaper::ended(int status)
{
    child_.reset();
    ended_at_ = SteadyClock::now();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        log::warning("{} release-layers ended with status {:#x}", program_, static_cast<unsigned>(status));
        schedule_.forget_last_look();
    }
    if (std::exchange(again_, false)) {
        check();
    }
}

} // namespace sluice::daemon
