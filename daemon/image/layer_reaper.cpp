// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/layer_reaper.hpp"

#include "base/helper_process.hpp"
#include "base/log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
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

LayerReaper::LayerReaper(EventLoop& loop, Helper helper, std::string layers_dir, ReaperSchedule::Pace pace)
    : LayerReaper{loop, std::move(helper), std::move(layers_dir), pace, &read_mount_table}
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
    Helper helper,
    std::string layers_dir,
    ReaperSchedule::Pace pace,
    std::function<std::string()> table
)
    : loop_{loop}
    , helper_{std::move(helper)}
    , layers_dir_{layers_dir}
    , schedule_{std::move(layers_dir), pace}
    , table_{std::move(table)}
    , delay_{loop, [this] { decide(); }, "reaper: mount table"}
{}

void LayerReaper::check()
{
    if (child_ != nullptr || request_ != nullptr) {
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
        look();
    } else if (verdict.again) {
        delay_.arm_at(*verdict.again);
    }
}

void LayerReaper::look()
{
    if (child_ != nullptr || request_ != nullptr) {
        return;
    }
    if (helper_.socket.empty()) {
        spawn();
        return;
    }
    auto request = ReleaseRequest::send(loop_, helper_.socket, layers_dir_, [this](const std::string& complaint) {
        request_.reset();
        ended(complaint);
    });
    if (request) {
        request_ = std::move(*request);
    } else if (request.error().kind() == ErrorKind::kNotFound) {
        spawn();
    } else {
        cannot_look(request.error());
    }
}

void LayerReaper::spawn()
{
    // It unmounts, and looks at the mount tables of all processes: that takes our capabilities.
    const HelperProgram helper{
        .arguments = {helper_.program, "release-layers", "--layers-dir", layers_dir_},
        .environment = {},
        .errors = STDERR_FILENO,
        .keeps_capabilities = true};
    const auto pid = start_helper(helper);
    if (!pid) {
        cannot_look(pid.error());
        return;
    }
    const auto tell = [this](int status) {
        child_.reset();
        const bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        ended(well ? std::string{} : fmt::format("status {:#x}", static_cast<unsigned>(status)));
    };
    child_ = std::make_unique<ChildSource>(loop_, *pid, tell, "reaper: end of its helper");
}

void LayerReaper::cannot_look(const Error& why)
{
    if (!std::exchange(complained_, true)) {
        log::warning("{}; unused layer mounts stay", why.text());
    }
    schedule_.forget_last_look();
}

void LayerReaper::ended(const std::string& complaint)
{
    ended_at_ = SteadyClock::now();
    if (!complaint.empty()) {
        log::warning("release-layers failed: {}; unused layer mounts may stay", complaint);
        schedule_.forget_last_look();
    }
    if (std::exchange(again_, false)) {
        check();
    }
}

} // namespace sluice::daemon
