// SPDX-License-Identifier: Apache-2.0
// sluicectl(1): the operator's command line.
#include "base/text.hpp"
#include "tools/arguments.hpp"
#include "tools/control_client.hpp"
#include "tools/exit_status.hpp"
#include "tools/export_command.hpp"
#include "tools/interruption.hpp"
#include "tools/listing.hpp"
#include "tools/mount_command.hpp"
#include "tools/passphrase.hpp"
#include "tools/prefetch_command.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <iostream>
#include <string>
#include <string_view>
#include <unistd.h>

namespace {

using namespace sluice;
using namespace sluice::tools;

void print_json(const Json& document)
{
    // Foreign bytes that are no UTF-8 must not end us here.
    fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
}

/// Every failure goes through here: text for people, and for programs the same as JSON.
int complain(bool json, const Error& error, int status)
{
    if (json) {
        print_json({{"error", {{"kind", to_string(error.kind())}, {"message", error.text()}}}});
    }
    fmt::print(stderr, "sluicectl: {}\n", error.text());
    return status;
}

int complain(const Arguments& arguments, const Error& error)
{
    return complain(arguments.json, error, exit_status(error.kind()));
}

int mount(const Arguments& arguments)
{
    auto options = parse_mount_options(arguments.mount_options);
    if (!options) {
        return complain(arguments.json, options.error(), kExitUsage);
    }
    ControlClient daemon{options->socket.empty() ? arguments.socket : options->socket};
    options->lazy_only = options->lazy_only || arguments.lazy_only;
    options->refresh = options->refresh || arguments.refresh;
    if (!arguments.layers_dir.empty()) {
        options->layers_dir = arguments.layers_dir;
    }
    KernelLayerMounter mounter{options->loop_devices};
    MountRequest request{arguments.reference, arguments.dir, std::move(*options), true};
    if (!arguments.json && !arguments.quiet) {
        request.say_waiting = "sluicectl";
    }
    const auto outcome = run_mount(daemon, mounter, request);
    if (!outcome) {
        return complain(arguments, outcome.error());
    }
    if (arguments.json) {
        Json layers = Json::array();
        for (const auto& layer : outcome->image.layers) {
            layers.push_back(layer.digest);
        }
        print_json(
            {{"reference", outcome->image.reference},
             {"manifest_digest", outcome->image.manifest_digest},
             {"dir", arguments.dir},
             {"layers_dir", outcome->layers_dir},
             {"was_mounted", outcome->was_mounted},
             {"layers", std::move(layers)}}
        );
    } else if (outcome->was_mounted) {
        fmt::print("{} is mounted at {} already\n", arguments.reference, arguments.dir);
    }
    return 0;
}

Json to_json(const ReleaseReport& report)
{
    Json json{{"released", report.released}, {"in_use", report.in_use}, {"failed", report.failed}};
    if (!report.note.empty()) {
        json["note"] = report.note;
    }
    return json;
}

int tell_failures(const ReleaseReport& report)
{
    int status = 0;
    for (const auto& failure : report.failed) {
        fmt::print(stderr, "sluicectl: releasing layer {}\n", failure); // in the JSON, too, where that is wanted
        status = kExitFailure;
    }
    return status;
}

int umount(ControlClient& daemon, const Arguments& arguments)
{
    const auto layers = LayerMounts::open(find_layers_dir(daemon, arguments.layers_dir));
    if (!layers) {
        return complain(arguments, layers.error());
    }
    const auto report = unmount_image(*layers, arguments.dir);
    if (!report) {
        return complain(arguments, report.error());
    }
    if (arguments.json) {
        print_json(to_json(*report));
    } else if (!report->note.empty()) {
        fmt::print(stderr, "sluicectl: {}\n", report->note);
    }
    return tell_failures(*report);
}

int release_layers(ControlClient& daemon, const Arguments& arguments)
{
    auto dir = arguments.layers_dir;
    if (arguments.serve && (!std::getline(std::cin, dir) || !dir.starts_with('/'))) {
        return complain(arguments, Error{ErrorKind::kInvalid, "standard input is no line with the layers' directory"});
    }
    const auto layers = LayerMounts::open(find_layers_dir(daemon, dir));
    if (!layers) {
        return complain(arguments, layers.error());
    }
    const auto report = layers->release_unused();
    if (!report) {
        return complain(arguments, report.error());
    }
    if (arguments.json) {
        print_json(to_json(*report));
    }
    return tell_failures(*report);
}

int prefetch(ControlClient& daemon, const Arguments& arguments)
{
    const auto outcome = run_prefetch(daemon, arguments.reference);
    if (!outcome) {
        return complain(arguments, outcome.error());
    }
    if (arguments.json) {
        print_json({{"reference", outcome->reference}, {"bytes", outcome->bytes}, {"bytes_fetched", outcome->fetched}});
    } else {
        fmt::print(
            "{}: all of it is in the cache, {}; {} of that came just now\n",
            printable(outcome->reference),
            format_size(outcome->bytes),
            format_size(outcome->fetched)
        );
    }
    return 0;
}

int list(ControlClient& daemon, const Arguments& arguments, const char* path, std::string (*format)(const Json&))
{
    const auto answer = daemon.call("GET", path);
    if (!answer) {
        return complain(arguments, answer.error());
    }
    if (arguments.json) {
        print_json(*answer);
    } else {
        fmt::print("{}", format(*answer));
    }
    return 0;
}

int forget(ControlClient& daemon, const Arguments& arguments)
{
    const auto answer = daemon.call("DELETE", "/v1/images?reference=" + percent_encode(arguments.reference));
    if (!answer) {
        return complain(arguments, answer.error());
    }
    if (arguments.json) {
        print_json(*answer);
    }
    return 0;
}

int publish(const Arguments& arguments)
{
    forbid_core_dumps(); // private keys and passwords are in memory
    int interrupted_by = 0;
    const auto report = run_publish(arguments.publish, interrupted_by);
    if (!report) {
        const int status = complain(arguments, report.error());
        return interrupted_by == 0 ? status : end_by_signal(interrupted_by);
    }
    if (arguments.json) {
        print_json(to_json(*report));
    } else {
        fmt::print("{}", format_report(*report));
    }
    return 0;
}

int export_image(ControlClient& daemon, const Arguments& arguments)
{
    const ExportRequest request{
        arguments.reference, arguments.dir, arguments.layer, arguments.library_socket, arguments.socket};
    const auto files = run_export(daemon, request);
    if (!files) {
        return complain(arguments, files.error());
    }
    if (arguments.json) {
        print_json(to_json(request, *files));
    } else {
        fmt::print("{}", format_exported(*files));
    }
    return 0;
}

bool needs_root(Subcommand subcommand) noexcept
{
    return subcommand == Subcommand::kMount || subcommand == Subcommand::kUmount ||
           subcommand == Subcommand::kReleaseLayers;
}

/// Before anything is parsed, so that it counts for what cannot be.
bool asks_for_json(int argc, char** argv)
{
    return std::any_of(argv + 1, argv + argc, [](const char* word) { return std::string_view{word} == "--json"; });
}

int run(const Arguments& arguments)
{
    if (needs_root(arguments.subcommand) && ::geteuid() != 0) {
        return complain(arguments, Error{ErrorKind::kDenied, "mounting and unmounting need root"});
    }
    if (arguments.subcommand == Subcommand::kPublish) {
        return publish(arguments);
    }
    if (arguments.subcommand == Subcommand::kReleaseLayers && !arguments.mount_namespace.empty()) {
        // Entering a namespace wants a process without threads, and libcurl may have some.
        if (const auto entered = enter_mount_namespace(arguments.mount_namespace); !entered) {
            return complain(arguments, entered.error());
        }
    }
    if (arguments.subcommand == Subcommand::kMount) {
        return mount(arguments);
    }
    ControlClient daemon{arguments.socket};
    switch (arguments.subcommand) {
    case Subcommand::kUmount:
        return umount(daemon, arguments);
    case Subcommand::kReleaseLayers:
        return release_layers(daemon, arguments);
    case Subcommand::kImages:
        return list(daemon, arguments, "/v1/images", format_images);
    case Subcommand::kBlobs:
        return list(daemon, arguments, "/v1/blobs", format_blobs);
    case Subcommand::kStatus:
        return list(daemon, arguments, "/v1/status", format_status);
    case Subcommand::kPrefetch:
        return prefetch(daemon, arguments);
    case Subcommand::kTop: {
        const auto shown = run_top(daemon, arguments.top);
        return shown ? 0 : complain(arguments, shown.error());
    }
    case Subcommand::kForget:
        return forget(daemon, arguments);
    case Subcommand::kExport:
        return export_image(daemon, arguments);
    case Subcommand::kMount:
    case Subcommand::kPublish:
        break;
    }
    return kExitUsage;
}

} // namespace

int main(int argc, char** argv)
{
    const bool json = asks_for_json(argc, argv);
    try {
        const auto parsed = parse_arguments(argc, argv);
        if (const auto* wrong = std::get_if<Error>(&parsed)) {
            return complain(json, *wrong, kExitUsage);
        }
        if (const auto* said = std::get_if<Said>(&parsed)) {
            fmt::print("{}", said->text);
            return 0;
        }
        return run(std::get<Arguments>(parsed));
    } catch (const std::exception& error) {
        return complain(json, Error{ErrorKind::kInternal, error.what()}, kExitFailure);
    }
}
