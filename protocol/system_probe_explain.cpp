// SPDX-License-Identifier: Apache-2.0
//
// The pure part of the probes: what an errno or a line of /proc means to the operator.
#include "base/text.hpp"
#include "protocol/system_probe.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <system_error>

namespace sluice::protocol {

namespace fs = std::filesystem;

namespace {

std::string reason(int code)
{
    return std::system_category().message(code);
}

ProbeResult failed(std::string name, std::string text, std::string advice)
{
    return {std::move(name), ProbeStatus::kFailed, std::move(text), std::move(advice)};
}

std::string list(const std::vector<DeviceHolder>& holders)
{
    std::string text;
    for (const auto& holder : holders) {
        text += fmt::format("{}{} (pid {})", text.empty() ? "" : ", ", printable(holder.command), holder.pid);
    }
    return text;
}

bool holds_device(const fs::path& process)
{
    std::error_code error;
    for (fs::directory_iterator at{process / "fd", error}; !error && at != fs::directory_iterator{};
         at.increment(error)) {
        std::error_code ignored;
        const auto link = fs::read_symlink(at->path(), ignored).string();
        if (link == "/dev/cachefiles" || is_object_link(link)) {
            return true;
        }
    }
    return false;
}

} // namespace

std::vector<DeviceHolder> find_holders(const fs::path& proc)
{
    std::vector<DeviceHolder> holders;
    std::error_code error;
    for (fs::directory_iterator at{proc, error}; !error && at != fs::directory_iterator{}; at.increment(error)) {
        const auto pid = parse_u64(at->path().filename().string());
        if (pid && holds_device(at->path())) {
            std::string command;
            std::ifstream file{at->path() / "comm"};
            std::getline(file, command);
            holders.push_back({static_cast<int>(*pid), command});
        }
    }
    std::ranges::sort(holders, {}, &DeviceHolder::pid);
    return holders;
}

ProbeResult explain_open_error(int code, const std::vector<DeviceHolder>& holders)
{
    switch (code) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return failed(
            "device",
            fmt::format("/dev/cachefiles cannot be opened: {}", reason(code)),
            "load the module (modprobe cachefiles); the kernel needs CONFIG_CACHEFILES_ONDEMAND and "
            "CONFIG_EROFS_FS_ONDEMAND, which Debian's kernels do not have, and must be older than 7.2"
        );
    case EPERM:
    case EACCES:
        return failed(
            "permission",
            fmt::format("/dev/cachefiles cannot be opened: {}", reason(code)),
            "run as root with CAP_SYS_ADMIN in the initial user namespace"
        );
    case EBUSY:
        if (holders.empty()) {
            return failed(
                "busy",
                "/dev/cachefiles is open already, and no visible process holds it",
                "look for cachefilesd or a second sluiced in another container, or in systemd's descriptor store; a "
                "cache that is being shut down is held until it is synced"
            );
        }
        return failed(
            "busy",
            fmt::format("/dev/cachefiles is held by {}", list(holders)),
            "only one daemon can serve it: stop that one (systemctl stop cachefilesd, or the other sluiced)"
        );
    default:
        return failed(
            "device", fmt::format("/dev/cachefiles cannot be opened: {}", reason(code)), "see the kernel's log"
        );
    }
}

ProbeResult explain_bind_error(int code, const std::string& cache_dir)
{
    const auto dir = printable(cache_dir);
    switch (code) {
    case EINVAL:
        return failed(
            "ondemand",
            "the kernel does not know 'bind ondemand'",
            "it was built without CONFIG_CACHEFILES_ONDEMAND; use a kernel from 5.19 to 7.1 that has it"
        );
    case ENOENT:
    case ENOTDIR:
        return failed("cache-dir", fmt::format("{}: {}", dir, reason(code)), "make the directory, or set 'dir'");
    case EOPNOTSUPP:
        return failed(
            "cache-dir",
            fmt::format("the file system of {} cannot keep cache files", dir),
            "put the cache on ext4 or XFS with blocks of 4096 bytes or less"
        );
    case EROFS:
        return failed("cache-dir", fmt::format("{} is on a read-only file system", dir), "remount it writable");
    case ENOBUFS:
        return failed(
            "cache-dir",
            fmt::format("the file system of {} has less free space than bstop or fstop asks for", dir),
            "free some space, or lower the limits"
        );
    case EBUSY:
        return failed(
            "cache-dir",
            fmt::format("{} or this tag is in use by a cache that has not ended yet", dir),
            "unmount what it served, and start again"
        );
    default:
        return failed("bind", fmt::format("cannot bind a cache in {}: {}", dir, reason(code)), "see the kernel's log");
    }
}

Error to_error(const ProbeResult& result, int code)
{
    auto text = result.text;
    if (!result.advice.empty()) {
        text += fmt::format("; {}", result.advice);
    }
    return Error{Error::from_errno(code, "").kind(), std::move(text), code};
}

std::optional<char> kernel_option(std::string_view config, std::string_view option)
{
    for (auto line : split(config, '\n')) {
        line = trim(line);
        if (line == fmt::format("# {} is not set", option)) {
            return 'n';
        }
        if (line.size() == option.size() + 2 && line.starts_with(option) && line[option.size()] == '=') {
            return line.back();
        }
    }
    return std::nullopt;
}

bool lists_filesystem(std::string_view filesystems, std::string_view name)
{
    const auto lines = split(filesystems, '\n');
    return std::ranges::any_of(lines, [name](std::string_view line) {
        const auto tab = line.rfind('\t');
        return trim(tab == std::string_view::npos ? line : line.substr(tab)) == name;
    });
}

} // namespace sluice::protocol
