// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/layer_reaper.hpp"

#include "base/error.hpp"
#include "base/log.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <utility>

namespace sluice::daemon {

namespace {

/// Mounting and unmounting come in bursts; the last change of a burst is the one that counts.
constexpr milliseconds kSettle{500};

} // namespace

LayerReaper::LayerReaper(EventLoop& loop, std::string program, std::string layers_dir)
    : loop_{loop}
    , program_{std::move(program)}
    , layers_dir_{std::move(layers_dir)}
    , mount_table_{kAdoptFd, ::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)}
    , delay_{loop, [this] { spawn(); }}
{
    if (mount_table_) {
        // The kernel reports a changed table as EPOLLPRI and EPOLLERR, once a change and poller.
        watch_ = std::make_unique<IoSource>(
            loop, mount_table_.get(), EPOLLPRI, [this](std::uint32_t) { check(); }, "reaper: mount table"
        );
    }
}

void LayerReaper::check()
{
    if (child_ != nullptr) {
        again_ = true;
        return;
    }
    delay_.arm(kSettle);
}

void LayerReaper::spawn()
{
    if (child_ != nullptr) {
        return;
    }
    std::string command = "release-layers";
    std::string option = "--layers-dir";
    std::array<char*, 5> arguments{program_.data(), command.data(), option.data(), layers_dir_.data(), nullptr};
    std::array<char*, 1> environment{nullptr};

    // Signals are blocked in this process because the loop reads them; the child must get them as usual.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, program_.c_str(), nullptr, &attributes, arguments.data(), environment.data());
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        if (!std::exchange(complained_, true)) {
            log::warning(
                "cannot run {}: {}; unused layer mounts stay", program_, Error::from_errno(error, "posix_spawn").text()
            );
        }
        return;
    }
    child_ = std::make_unique<ChildSource>(
        loop_, pid, [this](int status) { ended(status); }, "reaper: end of its helper"
    );
}

void LayerReaper::ended(int status)
{
    child_.reset();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        log::warning("{} release-layers ended with status {:#x}", program_, static_cast<unsigned>(status));
    }
    if (std::exchange(again_, false)) {
        check();
    }
}

} // namespace sluice::daemon
