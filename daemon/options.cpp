// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.hpp"

#include "base/text.hpp"
#include "sluice_config.h"

#include <array>
#include <fmt/format.h>
#include <getopt.h>
#include <string_view>

namespace sluice::daemon {

namespace {

// Switches without a letter; above every character.
enum LongOnly : int { kCheckConfigSwitch = 256, kCheckSystemSwitch, kHelpSwitch, kKeeperSwitch };

constexpr const char* kLetters = ":dsnNp:f:v"; // the colon in front: tell a missing argument from an unknown switch

constexpr std::array<option, 11> kLongOptions{{
    {"debug", no_argument, nullptr, 'd'},
    {"stderr", no_argument, nullptr, 's'},
    {"foreground", no_argument, nullptr, 'n'},
    {"nocull", no_argument, nullptr, 'N'},
    {"pidfile", required_argument, nullptr, 'p'},
    {"config", required_argument, nullptr, 'f'},
    {"keeper", no_argument, nullptr, kKeeperSwitch},
    {"check-config", no_argument, nullptr, kCheckConfigSwitch},
    {"check-system", no_argument, nullptr, kCheckSystemSwitch},
    {"version", no_argument, nullptr, 'v'},
    {"help", no_argument, nullptr, kHelpSwitch},
}};

constexpr std::string_view kHelp = R"(Usage: sluiced [OPTION]...
Serves signed EROFS images to the kernel on demand.

  -d, --debug            more messages, those about each request included
  -s, --stderr           messages to standard error, never to the system log
  -n, --foreground       stay in the foreground
  -N, --nocull           never delete anything from the cache
  -p, --pidfile FILE     write the process id to FILE ({pid_file} when detached)
  -f, --config FILE      read FILE instead of {config_file}
      --keeper           run the daemon as a child that is started anew whenever it ends, with what is mounted
      --check-config     print the effective configuration, or what is wrong with it
      --check-system     print what the daemon needs of this machine and whether it is there
  -v, --version          print the version
      --help             print this

sluiced(8) and sluiced.conf(5) say more.
)";

Failure usage_error(std::string text)
{
    return fail(ErrorKind::kInvalid, std::move(text) + "; see sluiced --help");
}

Result<void> choose(Options& options, Action action)
{
    if (options.action != Action::kServe && options.action != action) {
        return usage_error("only one of --keeper, --check-config, --check-system, --version and --help can be asked for"
        );
    }
    options.action = action;
    return {};
}

Result<void> choose_file(std::optional<std::filesystem::path>& file, std::string_view letter, const char* value)
{
    if (*value == '\0') {
        return usage_error(fmt::format("{}: the name of the file is empty", letter));
    }
    file = value;
    return {};
}

Result<void> apply_switch(Options& options, std::optional<std::filesystem::path>& config_file, int letter)
{
    switch (letter) {
    case 'd':
        ++options.debug;
        return {};
    case 's':
        options.log_to_stderr = true;
        return {};
    case 'n':
        options.foreground = true;
        return {};
    case 'N':
        options.nocull = true;
        return {};
    case 'p':
        return choose_file(options.pid_file, "-p", optarg);
    case 'f':
        return choose_file(config_file, "-f", optarg);
    case 'v':
        return choose(options, Action::kVersion);
    case kHelpSwitch:
        return choose(options, Action::kHelp);
    case kKeeperSwitch:
        return choose(options, Action::kKeep);
    case kCheckConfigSwitch:
        return choose(options, Action::kCheckConfig);
    default:
        return choose(options, Action::kCheckSystem);
    }
}

/// What getopt_long stumbled over: `letter` is its answer, `word` the argument it was looking at.
Failure unknown_switch(int letter, const char* word)
{
    const std::string what = optopt > 0 && optopt < 256 ? fmt::format("-{:c}", static_cast<char>(optopt)) : word;
    if (letter == ':') {
        return usage_error(fmt::format("option {} lacks its argument", printable(what)));
    }
    return usage_error(fmt::format("unknown, ambiguous or misused option {}", printable(what)));
}

} // namespace

Result<Options> parse_options(int argc, char* const* argv)
{
    Options options;
    std::optional<std::filesystem::path> config_file;
    // getopt_long wants a terminating row of zeros.
    std::array<option, kLongOptions.size() + 1> long_options{};
    std::copy(kLongOptions.begin(), kLongOptions.end(), long_options.begin());
    opterr = 0;
    optind = 0; // glibc: start afresh
    for (;;) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): called before any thread is started
        const int letter = ::getopt_long(argc, argv, kLetters, long_options.data(), nullptr);
        if (letter == -1) {
            break;
        }
        if (letter == '?' || letter == ':') {
            return unknown_switch(letter, argv[optind - 1]);
        }
        if (auto applied = apply_switch(options, config_file, letter); !applied) {
            return fail(applied.error());
        }
    }
    if (optind < argc) {
        return usage_error(fmt::format("unexpected argument '{}'", printable(argv[optind])));
    }
    options.config_file = config_file.value_or(options.config_file);
    return options;
}

std::string help_text()
{
    return fmt::format(kHelp, fmt::arg("pid_file", kDefaultPidFile), fmt::arg("config_file", kDefaultConfigFile));
}

std::string version_text()
{
    return fmt::format("sluiced {}\n", SLUICE_VERSION);
}

std::vector<std::string> kept_command(const std::string& program, const Options& options)
{
    std::vector<std::string> command{program, "--foreground", "--config", options.config_file.string()};
    command.insert(command.end(), options.debug, "--debug");
    if (options.log_to_stderr) {
        command.emplace_back("--stderr");
    }
    if (options.nocull) {
        command.emplace_back("--nocull");
    }
    return command;
}

RunMode run_mode(const Options& options, bool has_notify_socket)
{
    RunMode mode{};
    mode.detach = !options.foreground && !has_notify_socket;
    mode.log_to_syslog = mode.detach && !options.log_to_stderr;
    mode.pid_file = options.pid_file;
    if (mode.detach && !mode.pid_file) {
        mode.pid_file = kDefaultPidFile;
    }
    return mode;
}

Config apply_options(Config config, const Options& options)
{
    if (options.debug > 0) {
        config.log_level = log::Level::kDebug;
    }
    config.nocull = config.nocull || options.nocull;
    return config;
}

} // namespace sluice::daemon
