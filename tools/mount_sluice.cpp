// SPDX-License-Identifier: Apache-2.0
// mount.sluice(8): what mount(8) calls for `mount -t sluice REF DIR`, for fstab entries and for .mount units.
#include "sluice_config.h"
#include "tools/control_client.hpp"
#include "tools/helper_arguments.hpp"
#include "tools/layer_mounter.hpp"
#include "tools/mount_command.hpp"

#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace sluice::tools;

// mount(8)'s exit statuses.
constexpr int kUsage = 1;
constexpr int kSystem = 2;
constexpr int kFailure = 32;

constexpr const char* kHelp = "usage: mount.sluice REF DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS]\n"
                              "Mounts a signed image on demand; see mount.sluice(8).\n"
                              "\n"
                              "  -o OPTIONS     mount options, comma-separated\n"
                              "  -f, --fake     do everything but mount\n"
                              "  -n, --no-mtab  accepted, without effect\n"
                              "  -N NAMESPACE   mount in this mount namespace: a path, or a process\n"
                              "  -s             skip mount options that are not known\n"
                              "  -t TYPE        accepted, without effect\n"
                              "  -v, --verbose  say what was mounted\n"
                              "  -h, --help     print this\n"
                              "  -V, --version  print the version\n";

int complain(int status, const std::string& text)
{
    fmt::print(stderr, "mount.sluice: {}\n", text);
    return status;
}

int mount(const HelperArguments& arguments, MountOptions options)
{
    if (::geteuid() != 0) {
        return complain(kUsage, "mounting needs root");
    }
    auto place = MountPlace::open(arguments.dir, arguments.mount_namespace);
    if (!place) {
        return complain(kSystem, place.error().text());
    }
    ControlClient daemon{options.socket.empty() ? std::string{kDefaultSocket} : options.socket};
    KernelLayerMounter mounter{options.loop_devices};
    const MountRequest request{arguments.spec, std::move(*place), std::move(options), false, arguments.fake};
    const auto outcome = run_mount(daemon, mounter, request);
    if (!outcome) {
        return complain(kFailure, outcome.error().text());
    }
    if (arguments.verbose) {
        fmt::print(
            "mount.sluice: {} ({}){} on {}\n",
            arguments.spec,
            outcome->image.manifest_digest,
            outcome->was_mounted ? " was already mounted" : " mounted",
            arguments.dir
        );
    }
    return 0;
}

int run(const std::vector<std::string>& argv)
{
    const auto arguments = parse_helper_arguments(argv);
    if (!arguments) {
        fmt::print(stderr, "{}", kHelp);
        return complain(kUsage, arguments.error().text());
    }
    if (arguments->help || arguments->version) {
        fmt::print("{}", arguments->help ? kHelp : "mount.sluice (sluice) " SLUICE_VERSION "\n");
        return 0;
    }
    const auto origin = arguments->sloppy ? OptionOrigin::kSloppyMount : OptionOrigin::kMount;
    auto options = parse_mount_options(arguments->options, origin);
    if (!options) {
        return complain(kUsage, options.error().text());
    }
    return mount(*arguments, std::move(*options));
}

} // namespace

int main(int argc, char** argv)
{
    try {
        return run({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        return complain(kSystem, error.what());
    }
}
