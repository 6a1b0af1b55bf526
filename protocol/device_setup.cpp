// SPDX-License-Identifier: Apache-2.0
#include "protocol/device_setup.hpp"

#include "base/text.hpp"
#include "protocol/system_probe.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <utility>
#include <vector>

namespace sluice::protocol {

namespace {

Result<void> send(KernelIo& io, int device, const std::string& command)
{
    const int code = -io.write(device, command);
    if (code != 0) {
        return fail_errno(code, fmt::format("/dev/cachefiles: '{}'", printable(command)));
    }
    return {};
}

Result<std::vector<std::string>> configuration(const DeviceConfig& config)
{
    auto commands = limit_commands(config.limits);
    if (!commands) {
        return commands;
    }
    std::vector<Result<std::string>> more;
    more.push_back(dir_command(config.cache_dir.native()));
    more.push_back(tag_command(config.tag));
    if (!config.secctx.empty()) {
        more.push_back(secctx_command(config.secctx));
    }
    if (config.debug) {
        more.push_back(debug_command(*config.debug));
    }
    for (auto& command : more) {
        if (!command) {
            return fail(command.error());
        }
        commands->push_back(std::move(*command));
    }
    return commands;
}

/// Harmless on a device that was bound a moment ago: there is nothing yet that could be delivered again.
Result<bool> try_restore(KernelIo& io, int device)
{
    const auto done = send(io, device, restore_command());
    if (done) {
        return true;
    }
    if (done.error().code() == EOPNOTSUPP) {
        return false;
    }
    return fail(done.error());
}

Result<BoundDevice> take_up(KernelIo& io, DeviceConfig& config)
{
    BoundDevice bound{std::move(config.adopted), false, true};
    if (::fcntl(bound.fd.get(), F_SETFD, FD_CLOEXEC) != 0) {
        return fail_errno(errno, "the stored descriptor of /dev/cachefiles");
    }
    if (config.restore) {
        const auto restored = try_restore(io, bound.fd.get());
        if (!restored) {
            return fail(restored.error(), "the stored descriptor cannot be used");
        }
        bound.can_restore = *restored;
    }
    return bound;
}

} // namespace

bool is_passing(int code) noexcept
{
    return code == EMFILE || code == ENFILE || code == ENOMEM || code == EBUSY || code == EINTR;
}

Result<BoundDevice> set_up_device(KernelIo& io, DeviceConfig& config)
{
    if (config.adopted) {
        return take_up(io, config);
    }
    const auto commands = configuration(config);
    if (!commands) {
        return fail(commands.error());
    }
    const int opened = io.open_device();
    if (opened < 0) {
        const auto holders = opened == -EBUSY ? find_holders("/proc") : std::vector<DeviceHolder>{};
        return fail(to_error(explain_open_error(-opened, holders), -opened));
    }
    BoundDevice bound{UniqueFd{kAdoptFd, opened}, false, false};
    for (const auto& command : *commands) {
        if (const auto sent = send(io, opened, command); !sent) {
            return fail(sent.error());
        }
    }
    if (const int code = -io.write(opened, bind_ondemand_command()); code != 0) {
        return fail(to_error(explain_bind_error(code, config.cache_dir.string()), code));
    }
    const auto restorable = try_restore(io, opened);
    if (!restorable) {
        return fail(restorable.error());
    }
    bound.can_restore = *restorable;
    return bound;
}

} // namespace sluice::protocol
