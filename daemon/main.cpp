// SPDX-License-Identifier: Apache-2.0
#include "base/fd_store.hpp"
#include "base/log.hpp"
#include "base/watchdog.hpp"
#include "daemon/check_system.hpp"
#include "daemon/config/config.hpp"
#include "daemon/daemon.hpp"
#include "daemon/detach.hpp"
#include "daemon/keeper/keeper.hpp"
#include "daemon/options.hpp"
#include "protocol/kernel_io.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fmt/format.h>

namespace sluice::daemon {
namespace {

/// sluicectl is installed in bindir; a build that was never installed has it beside the daemon's folder.
std::string find_sluicectl()
{
    std::error_code ignored;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
    for (const auto& candidate : {self.parent_path() / "sluicectl", self.parent_path() / "../tools/sluicectl"}) {
        if (std::filesystem::exists(candidate, ignored)) {
            return candidate.lexically_normal();
        }
    }
    return SLUICE_BINDIR "/sluicectl";
}

int tell_about_system(const Config& config)
{
    protocol::SyscallKernelIo io;
    const auto report = check_system(io, config);
    for (const auto& result : report.results) {
        fmt::print("{}\n", protocol::to_line(result));
    }
    return report.able ? EXIT_SUCCESS : EXIT_FAILURE;
}

int serve(const Config& config, const Options& options)
{
    const auto mode = run_mode(options, std::getenv("NOTIFY_SOCKET") != nullptr); // NOLINT(concurrency-mt-unsafe)
    Detacher detacher{mode};
    auto descriptors = FdStore::from_environment();
    if (mode.log_to_syslog) {
        log::use_syslog();
    }
    std::signal(SIGPIPE, SIG_IGN); // NOLINT(cert-err33-c): a peer that goes away is an error of that write
    std::signal(SIGHUP, SIG_IGN);  // NOLINT(cert-err33-c): dying of it would end every mount
    EventLoop loop;
    protocol::SyscallKernelIo io;
    const char* socket = std::getenv("SLUICE_RELEASE_SOCKET"); // NOLINT(concurrency-mt-unsafe): before any thread
    LayerReaper::Helper helper{find_sluicectl(), socket == nullptr ? "" : socket};
    Daemon daemon{loop, config, io, std::move(helper), descriptors};
    if (const auto started = daemon.start(); !started) {
        log::error("{}", started.error().text());
        return EXIT_FAILURE;
    }
    if (const auto ready = detacher.ready(); !ready) {
        log::error("{}", ready.error().text());
        return EXIT_FAILURE;
    }
    descriptors.settle();
    loop.notify("READY=1\nSTATUS=serving");
    return loop.run();
}

/// What is the service manager's where there is one: see Keeper.
int keep(const Options& options)
{
    log::set_program_name("sluiced keeper");
    RunMode mode{};
    mode.pid_file = options.pid_file;
    Detacher detacher{mode};
    if (const auto ready = detacher.ready(); !ready) {
        log::error("{}", ready.error().text());
        return EXIT_FAILURE;
    }
    std::signal(SIGPIPE, SIG_IGN); // NOLINT(cert-err33-c)
    auto socket = NotifySocket::make();
    if (!socket) {
        log::error("{}", socket.error().text());
        return EXIT_FAILURE;
    }
    EventLoop loop;
    const Watchdog watchdog{loop, [] { return true; }};
    Keeper::Options parts;
    parts.command = kept_command(std::filesystem::read_symlink("/proc/self/exe"), options);
    Keeper keeper{loop, std::move(parts), std::move(*socket)};
    keeper.start();
    return loop.run();
}

int run(int argc, char* const* argv)
{
    const auto options = parse_options(argc, argv);
    if (!options) {
        fmt::print(stderr, "sluiced: {}\n", options.error().text());
        return kExitUsage;
    }
    if (options->action == Action::kHelp) {
        fmt::print("{}", help_text());
        return EXIT_SUCCESS;
    }
    if (options->action == Action::kVersion) {
        fmt::print("{}", version_text());
        return EXIT_SUCCESS;
    }
    if (options->action == Action::kKeep) {
        return keep(*options);
    }
    // Whether a machine is able to serve can be asked before anything is configured.
    const bool unconfigured = options->action == Action::kCheckSystem && options->config_file == kDefaultConfigFile &&
                              !std::filesystem::exists(options->config_file);
    const auto loaded = unconfigured ? ConfigResult{Config{}} : load_config(options->config_file);
    if (!loaded) {
        for (const auto& line : loaded.error()) {
            fmt::print(stderr, "sluiced: {}\n", line);
        }
        return EXIT_FAILURE;
    }
    const auto config = apply_options(*loaded, *options);
    if (options->action == Action::kCheckConfig) {
        fmt::print("{}", print_config(config));
        return EXIT_SUCCESS;
    }
    if (options->action == Action::kCheckSystem) {
        return tell_about_system(config);
    }
    log::set_level(config.log_level);
    return serve(config, *options);
}

} // namespace
} // namespace sluice::daemon

int main(int argc, char** argv)
try {
    return sluice::daemon::run(argc, argv);

} catch (const std::exception& error) {
    fmt::print(stderr, "sluiced: {}\n", error.what());
    return EXIT_FAILURE;
}
