// SPDX-License-Identifier: Apache-2.0
#include "tools/overlay_mount.hpp"

#include "tools/fs_context.hpp"
#include "tools/mount_options.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <thread>
#include <unistd.h>

namespace sluice::tools {

namespace {

constexpr std::size_t kMaxMountData = 4095; // a page with its final NUL; the kernel would cut what is longer

Result<UniqueFd> make_appended(const OverlayRequest& request)
{
    auto context = FsContext::open("overlay");
    if (!context) {
        return fail(std::move(context).error());
    }
    const bool named = !request.source.empty() && request.source.size() <= kMaxFsStringLength;
    if (auto set = context->set_string("source", named ? request.source : "sluice"); !set) {
        return fail(set.error());
    }
    for (auto name = request.names.rbegin(); name != request.names.rend(); ++name) { // the topmost comes first
        if (auto set = context->set_string("lowerdir+", fmt::format("{}/{}", request.layers_dir, *name)); !set) {
            return fail(set.error());
        }
    }
    if (auto set = context->set_flag("ro"); !set) {
        return fail(set.error());
    }
    if (auto created = context->create(); !created) {
        return fail(created.error());
    }
    return context->mount(request.attributes);
}

Result<void> mount_appended(const OverlayRequest& request, const std::string& target)
{
    auto mount = make_appended(request);
    if (!mount) {
        return fail(std::move(mount).error());
    }
    return attach_mount(*mount, target);
}

/// mount(2) from inside the layers directory. Returns an errno.
int mount_from(
    const std::string& dir,
    const std::string& source,
    const std::string& target,
    unsigned long flags,
    const std::string& data
)
{
    int code = 0;
    // The working directory is changed in a thread that has one of its own, so that nobody else's
    // moves.
    std::thread{[&] {
        if (::unshare(CLONE_FS) != 0 || ::chdir(dir.c_str()) != 0 ||
            ::mount(source.c_str(), target.c_str(), "overlay", flags, data.c_str()) != 0) {
            code = errno;
        }
    }}.join();
    return code;
}

Result<void> mount_one_string(const OverlayRequest& request, const std::string& target)
{
    std::string data = "lowerdir=";
    for (auto name = request.names.rbegin(); name != request.names.rend(); ++name) {
        data += fmt::format("{}{}", name == request.names.rbegin() ? "" : ":", *name);
    }
    if (data.size() > kMaxMountData) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format(
                "this kernel takes {} bytes of layer names, the image's {} layers have {}",
                kMaxMountData,
                request.names.size(),
                data.size()
            )
        );
    }
    const std::string& source = request.source.empty() ? "sluice" : request.source;
    if (const int code = mount_from(request.layers_dir, source, target, mount_flags(request.attributes), data);
        code != 0) {
        return fail_errno(code, "mounting an overlay at " + target);
    }
    return {};
}

} // namespace

Result<void> mount_overlay(const OverlayRequest& request, const std::string& target, OverlayStyle style)
{
    if (style == OverlayStyle::kOneString) {
        return mount_one_string(request, target);
    }
    auto mounted = mount_appended(request, target);
    // Kernels before 6.7 say EINVAL to "lowerdir+": at once, or (before 6.5) when the super block
    // is made.
    if (mounted || style == OverlayStyle::kAppended || mounted.error().code() != EINVAL) {
        return mounted;
    }
    const auto again = mount_one_string(request, target);
    if (!again) {
        return fail(again.error(), mounted.error().text());
    }
    return {};
}

} // namespace sluice::tools
