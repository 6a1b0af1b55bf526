// SPDX-License-Identifier: Apache-2.0
#include "protocol/system_probe.hpp"

#include "base/byte_range.hpp"
#include "base/unique_fd.hpp"
#include "protocol/command.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <memory>
#include <sys/utsname.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sluice::protocol {

namespace {

std::string read_text(const std::filesystem::path& path)
{
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
}

/// The running kernel's configuration, or nothing where neither place has it.
std::string kernel_config(const ProbeConfig& config)
{
    struct utsname name {};

    ::uname(&name);
    auto text = read_text(config.boot / fmt::format("config-{}", static_cast<const char*>(name.release)));
    const auto packed = config.proc / "config.gz";
    if (!text.empty() || ::access(packed.c_str(), R_OK) != 0) {
        return text;
    }

    struct Close {
        void operator()(std::FILE* pipe) const noexcept { (void)::pclose(pipe); }
    };

    // The path is ours; a probe that runs once need not bring a decompressor into the daemon.
    const auto command = fmt::format("exec gzip -dc '{}' 2>/dev/null", packed.string());
    const std::unique_ptr<std::FILE, Close> pipe{::popen(command.c_str(), "re")}; // NOLINT(cert-env33-c)
    if (pipe) {
        std::array<char, 4096> piece{};
        while (const auto got = std::fread(piece.data(), 1, piece.size(), pipe.get())) {
            text.append(piece.data(), got);
        }
    }
    return text;
}

std::string config_hint(const ProbeConfig& config)
{
    const auto text = kernel_config(config);
    if (text.empty()) {
        return {};
    }
    std::string hint;
    for (const std::string_view option : {"CACHEFILES", "CACHEFILES_ONDEMAND", "EROFS_FS", "EROFS_FS_ONDEMAND"}) {
        const auto value = kernel_option(text, fmt::format("CONFIG_{}", option)).value_or('?');
        hint += fmt::format("{}CONFIG_{}={}", hint.empty() ? "" : " ", option, value);
    }
    return hint;
}

ProbeResult ok(std::string name, std::string text)
{
    return {std::move(name), ProbeStatus::kOk, std::move(text), {}};
}

/// Asks the kernel for on-demand mode with a cache directory that cannot exist: a kernel that knows the mode gets as
/// far as looking for it, one that does not stops at the word. Nothing is bound.
void probe_mode(KernelIo& io, int device, const ProbeConfig& config, std::vector<ProbeResult>& results)
{
    const auto tag = tag_command(config.tag);
    (void)io.write(device, "dir /proc/self/sluice-probe/none");
    if (tag) {
        (void)io.write(device, *tag);
    }
    const int code = -io.write(device, bind_ondemand_command());
    if (code != ENOENT && code != ENOTDIR) {
        results.push_back(explain_bind_error(code, config.cache_dir.string()));
        return;
    }
    results.push_back(ok("ondemand", "the kernel has on-demand mode"));
    if (io.write(device, restore_command()) == 0) {
        results.push_back(ok("restore", "unanswered requests survive a restart of the daemon"));
    } else {
        results.push_back(
            {"restore",
             ProbeStatus::kWarning,
             "this kernel cannot deliver unanswered requests again",
             "after an end of the daemon, reads of what is not in the cache yet fail with EIO until the image is "
             "mounted "
             "again; use Linux 6.1.95, 6.6.35, 6.8 or later"}
        );
    }
}

ProbeResult probe_page_size()
{
    const auto size = ::sysconf(_SC_PAGESIZE);
    auto text = fmt::format("pages of {} bytes", size);
    if (size == static_cast<long>(kBlockSize)) {
        return ok("page-size", std::move(text));
    }
    return {"page-size", ProbeStatus::kFailed, std::move(text), "images have blocks of 4096 bytes: use such a kernel"};
}

ProbeResult probe_erofs(const ProbeConfig& config)
{
    if (lists_filesystem(read_text(config.proc / "filesystems"), "erofs")) {
        return ok("erofs", "the kernel has EROFS");
    }
    return {"erofs", ProbeStatus::kWarning, "EROFS is not in /proc/filesystems", "load it: modprobe erofs"};
}

} // namespace

std::string to_line(const ProbeResult& result)
{
    constexpr std::array<std::string_view, 3> kWords{"ok", "warn", "FAIL"};
    const auto word = kWords.at(static_cast<std::size_t>(result.status));
    const auto* const link = result.advice.empty() ? "" : " -> ";
    return fmt::format("{:<5} {:<12} {}{}{}", word, result.name, result.text, link, result.advice);
}

std::vector<ProbeResult> probe_cachefiles(KernelIo& io, const ProbeConfig& config)
{
    std::vector<ProbeResult> results;
    const int opened = io.open_device();
    const UniqueFd device{kAdoptFd, opened};
    if (device) {
        results.push_back(ok("device", "/dev/cachefiles can be opened"));
        probe_mode(io, device.get(), config, results);
    } else {
        const int code = -opened;
        const auto holders = code == EBUSY ? find_holders(config.proc) : std::vector<DeviceHolder>{};
        results.push_back(explain_open_error(code, holders));
    }
    auto& last = results.back();
    if (last.status == ProbeStatus::kFailed && last.name != "permission" && last.name != "busy") {
        if (const auto hint = config_hint(config); !hint.empty()) {
            last.text += fmt::format(" ({})", hint);
        }
    }
    return results;
}

std::vector<ProbeResult> probe_fuse(const ProbeConfig& config)
{
    std::vector<ProbeResult> results;
    const UniqueFd device{kAdoptFd, ::open("/dev/fuse", O_RDWR | O_CLOEXEC)};
    if (device) {
        results.push_back(ok("fuse", "/dev/fuse can be opened"));
    } else {
        const bool denied = errno == EACCES || errno == EPERM;
        results.push_back(
            {"fuse",
             ProbeStatus::kFailed,
             fmt::format("/dev/fuse cannot be opened: {}", std::system_category().message(errno)),
             denied ? "run as root" : "load the module: modprobe fuse"}
        );
    }
    // Whether EROFS takes files is only known from a mount; where it does not, it takes loop devices.
    const bool loop = ::access("/dev/loop-control", F_OK) == 0;
    const bool files = kernel_option(kernel_config(config), "CONFIG_EROFS_FS_BACKED_BY_FILE").value_or('n') != 'n';
    if (files || loop) {
        const std::string_view how = files ? "EROFS mounts files" : "loop devices, if EROFS does not mount files";
        results.push_back(ok("mounts", std::string{how}));
    } else {
        results.push_back(
            {"mounts",
             ProbeStatus::kWarning,
             "there are no loop devices, and EROFS may not mount files",
             "before Linux 6.12: modprobe loop"}
        );
    }
    return results;
}

std::vector<ProbeResult> probe_common(const ProbeConfig& config)
{
    std::vector<ProbeResult> results{probe_erofs(config), probe_page_size()};
    for (auto& result : probe_cache_dir(config.cache_dir)) {
        results.push_back(std::move(result));
    }
    return results;
}

} // namespace sluice::protocol
