// SPDX-License-Identifier: Apache-2.0
//
// Which front ends the daemon serves with.
#include "base/log.hpp"
#include "daemon/daemon.hpp"
#include "daemon/front_end/library.hpp"
#include "protocol/device_setup.hpp"

#include <fmt/format.h>
#include <string_view>
#include <utility>

namespace sluice::daemon {

Result<void> Daemon::start_front_end(std::unique_ptr<protocol::FrontEnd> front_end)
{
    auto& started = *front_end;
    const auto capabilities = [&started] { return started.capabilities(); };
    const auto lost = [this, &started](const Error& why) {
        log::error("{}: {}; what it serves has to be mounted again", started.capabilities().name, why.text());
        started.stop();
        leave(1);
    };
    auto objects =
        std::make_unique<ObjectService>(ObjectService::Parts{*services_, *blobs_, catalogue_, capabilities, lost});
    return front_ends_->start({std::move(front_end), std::move(objects)});
}

Result<void> Daemon::start_mount_front_end(const FrontEndKind& kind)
{
    const FrontEndParts parts{loop_, workers_, config_, io_, catalogue_, descriptors_};
    auto started = start_front_end(kind.make(parts));
    if (started) {
        const auto capabilities = front_ends_->all().back().front_end->capabilities();
        mount_front_end_.name = capabilities.name;
        mount_front_end_.why = kind.why;
        mount_front_end_.blobs_dir = capabilities.blobs_dir;
        mount_front_end_.mount_source = capabilities.mount_source;
        mount_front_end_.needs_complete = capabilities.needs_complete;
        mount_front_end_.can_restore = capabilities.can_restore;
    }
    return started;
}

Result<void> Daemon::start_front_ends()
{
    std::string faults;
    std::string_view inherited; // what is mounted needs
    for (const auto& kind : mount_front_ends()) {
        inherited = inherited.empty() && descriptors_.has(kind.descriptor) ? kind.descriptor : inherited;
    }
    for (const auto& candidate : mount_front_ends()) {
        if (config_.front_end != FrontEndMode::kAuto && config_.front_end != candidate.mode) {
            mount_front_end_.refused.push_back({std::string{candidate.name}, "the configuration asks for another one"});
            continue;
        }
        if (!mount_front_end_.name.empty()) {
            mount_front_end_.refused.push_back(
                {std::string{candidate.name}, fmt::format("not needed: {} works", mount_front_end_.name)}
            );
            continue;
        }
        if (candidate.descriptor != inherited && !inherited.empty() && config_.front_end == FrontEndMode::kAuto) {
            mount_front_end_.refused.push_back(
                {std::string{candidate.name}, fmt::format("what is mounted is mounted over {}", inherited)}
            );
            continue;
        }
        if (auto started = start_mount_front_end(candidate); !started) {
            if (candidate.descriptor == inherited && protocol::is_passing(started.error().code())) {
                return fail(started.error(), fmt::format("{}: what is mounted is left to the next start", inherited));
            }
            log::info("no front end {}: {}", candidate.name, started.error().text());
            mount_front_end_.refused.push_back({std::string{candidate.name}, started.error().text()});
            faults += fmt::format("{}{}: {}", faults.empty() ? "" : "; ", candidate.name, started.error().text());
        }
    }
    if (config_.front_end == FrontEndMode::kNone) {
        mount_front_end_.name = "none";
        mount_front_end_.why = "the configuration asks for none: images can be read with libsluice only";
    }
    if (mount_front_end_.name.empty()) {
        return fail(ErrorKind::kUnsupported, faults);
    }
    log::info("front end: {}", mount_front_end_.name);
    return {};
}

Result<void> Daemon::start_library()
{
    auto library = make_library_front_end(loop_, workers_, config_, catalogue_, images_->images(), descriptors_);
    if (!library) {
        return fail(library.error());
    }
    library_ = library->get();
    return start_front_end(std::move(*library));
}

} // namespace sluice::daemon
