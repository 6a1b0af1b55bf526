// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "daemon/config/config.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace sluice::daemon {

/// Exit status for a command line that makes no sense; every other failure is 1.
inline constexpr int kExitUsage = 2;

inline constexpr const char* kDefaultConfigFile = "/etc/sluice/sluiced.conf";
inline constexpr const char* kDefaultPidFile = "/run/sluiced.pid";

enum class Action : std::uint8_t { kServe, kKeep, kCheckConfig, kCheckSystem, kHelp, kVersion };

/// sluiced's command line. The one-letter switches are cachefilesd's and mean what they mean there.
struct Options {
    Action action = Action::kServe;
    unsigned debug = 0;         ///< -d, how often
    bool log_to_stderr = false; ///< -s: never the system log
    bool foreground = false;    ///< -n
    bool nocull = false;        ///< -N
    std::optional<std::filesystem::path> pid_file;
    std::filesystem::path config_file = kDefaultConfigFile;

    friend bool operator==(const Options&, const Options&) = default;
};

/// `argv` as main() has it. The error is one line for stderr (without the program's name); exit
/// with kExitUsage. Not thread-safe (getopt_long).
[[nodiscard]] Result<Options> parse_options(int argc, char* const* argv);

/// What --help and --version print.
[[nodiscard]] std::string help_text();
[[nodiscard]] std::string version_text();

/// How to run, once the environment is known.
struct RunMode {
    bool detach;                                   ///< fork, and let the parent exit 0 once the daemon is ready
    bool log_to_syslog;                            ///< there is no stderr that anybody reads
    std::optional<std::filesystem::path> pid_file; ///< written once ready, removed at the end

    friend bool operator==(const RunMode&, const RunMode&) = default;
};

/// cachefilesd's rule: detach unless -n is given; and never under a service manager that waits for
/// a notification
/// (`has_notify_socket`: NOTIFY_SOCKET is set), for which detaching would be dying.
[[nodiscard]] RunMode run_mode(const Options& options, bool has_notify_socket);

/// The arguments, the program at `program` first, of the daemon that `sluiced --keeper` starts.
[[nodiscard]] std::vector<std::string> kept_command(const std::string& program, const Options& options);

/// The configuration with what the command line says on top (-d, -N).
[[nodiscard]] Config apply_options(Config config, const Options& options);

} // namespace sluice::daemon
