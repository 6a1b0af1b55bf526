// SPDX-License-Identifier: Apache-2.0
#include "tools/mount_command.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "tools/blob_watch.hpp"
#include "tools/progress.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <sched.h>
#include <thread>
#include <unistd.h>

namespace sluice::tools {

namespace {

/// How often, and how many times, devices are looked at that the kernel opens after mount(2) has returned.
constexpr std::chrono::milliseconds kDevicePause{50};
constexpr int kDeviceLooks = 20;

Result<Json> resolve(ControlApi& daemon, const MountRequest& request)
{
    ProgressLine line{STDERR_FILENO};
    BlobGrowth growth;
    WaitNotice notice{request.reference, SteadyClock::now()};
    std::optional<Share> share;
    ControlApi::OnBlobs on_blobs;
    if (line.on_terminal() || !request.say_waiting.empty()) {
        on_blobs = [&](const Json& blobs) {
            share = blobs.is_null() ? share : growth.update(blobs);
            const auto text = request.say_waiting.empty() ? std::nullopt : notice.update(share, SteadyClock::now());
            if (text) {
                line.clear();
                fmt::print(stderr, "{}: {}\n", request.say_waiting, *text);
            }
            if (share) {
                line.show("completing", share->done, share->total);
            }
        };
    }
    Json body{{"reference", request.reference}};
    if (request.options.lazy_only) {
        body["lazy_only"] = true; // false would be the same as nothing: then it is the configuration's to say
    }
    if (request.options.refresh) {
        body["refresh"] = true;
    }
    return daemon.call("POST", "/v1/images", body, on_blobs);
}

/// The daemon's last error of each blob of the image that has one.
std::string daemons_reasons(ControlApi& daemon, const ImageSpec& image)
{
    const auto blobs = daemon.call("GET", "/v1/blobs");
    if (!blobs) {
        return "; and " + blobs.error().text();
    }
    std::string text;
    const auto add = [&](const std::string& digest) {
        const Json* blob = find_blob(*blobs, digest);
        if (const auto reason = blob == nullptr ? std::string{} : last_error_of(*blob); !reason.empty()) {
            text += fmt::format("; blob {}: {}", digest, reason);
        }
    };
    for (const auto& layer : image.layers) {
        add(layer.digest);
        for (const auto& device : layer.devices) {
            add(device);
        }
    }
    return text;
}

/// Devices whose OPEN the daemon refused: mount(2) does not wait for that, and the first reader would get ENOBUFS.
/// Those not yet asked for when the looking ends are taken for good.
std::string refused_devices(ControlApi& daemon, const ImageSpec& image)
{
    for (int look = 0; look < kDeviceLooks; ++look) {
        const auto blobs = daemon.call("GET", "/v1/blobs");
        if (!blobs) {
            return {};
        }
        bool all_open = true;
        std::string refused;
        for (const auto& layer : image.layers) {
            for (const auto& device : layer.devices) {
                const Json* blob = find_blob(*blobs, device);
                const Json* open = blob == nullptr ? nullptr : json_member(*blob, "open");
                if (open == nullptr || !open->is_boolean() || open->get<bool>()) {
                    continue;
                }
                all_open = false;
                if (const auto reason = last_error_of(*blob); !reason.empty()) {
                    refused += fmt::format("{}device {}: {}", refused.empty() ? "" : "; ", device, reason);
                }
            }
        }
        if (all_open || look + 1 == kDeviceLooks) {
            return refused;
        }
        std::this_thread::sleep_for(kDevicePause);
    }
    return {};
}

bool has_devices(const ImageSpec& image)
{
    return std::any_of(image.layers.begin(), image.layers.end(), [](const LayerSpec& l) { return !l.devices.empty(); });
}

Result<void> mount_and_check(
    ControlApi& daemon,
    LayerMounter& mounter,
    const LayerMounts& layers,
    const ImageSpec& image,
    const MountRequest& request
)
{
    auto mounted = mount_image(layers, image, request.place, request.options.attributes, mounter);
    if (!mounted) {
        const Error& error = mounted.error();
        if (error.code() != EIO && error.code() != ENOBUFS) {
            return mounted;
        }
        return fail(error.kind(), error.text() + daemons_reasons(daemon, image), error.code());
    }
    if (!has_devices(image)) {
        return {};
    }
    if (const auto refused = refused_devices(daemon, image); !refused.empty()) {
        (void)unmount_image(layers, request.place);
        return fail(ErrorKind::kTransient, refused);
    }
    return {};
}

/// What is mounted on top at the place, after a dead daemon's mounts of the image were taken away: never kDead.
Result<Presence>
look_at_place(const LayerMounts& layers, const ImageSpec& image, const MountPlace& place, const LayerMounter& mounter)
{
    for (;;) {
        auto presence = find_image(layers.dir(), image, place, mounter);
        if (!presence || *presence != Presence::kDead) {
            return presence;
        }
        if (auto detached = detach_dead(place); !detached) {
            return fail(detached.error());
        }
    }
}

} // namespace

std::string find_layers_dir(ControlApi& daemon, const std::string& given)
{
    if (!given.empty()) {
        return given;
    }
    const auto status = daemon.call("GET", "/v1/status");
    if (status) {
        if (const auto* dir = json_string(*status, "layers_dir"); dir != nullptr && dir->starts_with('/')) {
            return *dir;
        }
    }
    return std::string{kDefaultLayersDir};
}

Result<MountOutcome> run_mount(ControlApi& daemon, LayerMounter& mounter, const MountRequest& request)
{
    const auto answer = resolve(daemon, request);
    if (!answer) {
        return fail(answer.error());
    }
    auto image = parse_image_spec(*answer);
    if (!image) {
        return fail(std::move(image).error());
    }
    const auto* told = json_string(*answer, "layers_dir");
    const bool usable = request.options.layers_dir.empty() && told != nullptr && told->starts_with('/');
    MountOutcome outcome;
    outcome.image = std::move(*image);
    outcome.layers_dir = usable ? *told : find_layers_dir(daemon, request.options.layers_dir);
    if (request.fake) {
        return outcome;
    }
    const auto layers = LayerMounts::open(outcome.layers_dir);
    if (!layers) {
        return fail(layers.error());
    }
    const auto presence = look_at_place(*layers, outcome.image, request.place, mounter);
    if (!presence) {
        return fail(presence.error());
    }
    if (*presence == Presence::kThere) {
        outcome.was_mounted = true;
        return outcome;
    }
    if (*presence == Presence::kOther && request.refuse_other) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "{}: another image is mounted there already; unmount it first (sluicectl umount {})",
                request.place.dir(),
                request.place.dir()
            )
        );
    }
    if (auto mounted = mount_and_check(daemon, mounter, *layers, outcome.image, request); !mounted) {
        return fail(mounted.error(), request.reference);
    }
    return outcome;
}

Result<void> enter_mount_namespace(const std::string& path)
{
    const UniqueFd ns{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!ns) {
        return fail_errno(errno, path);
    }
    if (::setns(ns.get(), CLONE_NEWNS) != 0) {
        return fail_errno(errno, "entering the mount namespace " + path);
    }
    return {};
}

} // namespace sluice::tools
