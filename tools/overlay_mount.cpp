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

/// mount(2) from inside the layers directory. It can only put the overlay somewhere: it does so in a mount namespace
/// that nobody sees, and takes it from there.
Result<UniqueFd>
mount_from(const std::string& dir, const std::string& source, unsigned long flags, const std::string& data)
{
    Result<UniqueFd> mount = UniqueFd{};
    // Namespace and working directory are changed in a thread that has its own, so that nobody else's change.
    std::thread{[&] {
        if (::unshare(CLONE_FS | CLONE_NEWNS) != 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 || ::chdir(dir.c_str()) != 0) {
            mount = fail_errno(errno, "a mount namespace to make the overlay in");
        } else if (::mount(source.c_str(), dir.c_str(), "overlay", flags, data.c_str()) != 0) {
            mount = fail_errno(errno, "mounting an overlay");
        } else {
            mount = clone_mount(dir);
        }
    }}.join();
    return mount;
}

Result<UniqueFd> make_from_one_string(const OverlayRequest& request)
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
    return mount_from(request.layers_dir, source, mount_flags(request.attributes), data);
}

} // namespace

Result<UniqueFd> make_overlay(const OverlayRequest& request, OverlayStyle style)
{
    if (style == OverlayStyle::kOneString) {
        return make_from_one_string(request);
    }
    auto made = make_appended(request);
    // Kernels before 6.7 say EINVAL to "lowerdir+": at once, or (before 6.5) when the super block
    // is made.
    if (made || style == OverlayStyle::kAppended || made.error().code() != EINVAL) {
        return made;
    }
    auto again = make_from_one_string(request);
    if (!again) {
        return fail(again.error(), made.error().text());
    }
    return again;
}

} // namespace sluice::tools
