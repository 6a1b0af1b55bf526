// SPDX-License-Identifier: Apache-2.0
#include "tools/loop_device.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <linux/loop.h>
#include <string_view>
#include <sys/ioctl.h>

namespace sluice::tools {

namespace {

constexpr std::string_view kLoopDevices = "/dev/loop";

/// Between being told of a free device and taking it, somebody else may.
constexpr int kTries = 64;

Result<UniqueFd> open_device(const std::string& path, int flags)
{
    UniqueFd fd{kAdoptFd, ::open(path.c_str(), flags | O_CLOEXEC)};
    if (!fd) {
        return fail_errno(errno, path);
    }
    return fd;
}

} // namespace

Result<LoopDevice> LoopDevice::attach(const std::string& file)
{
    const auto backing = open_device(file, O_RDONLY);
    if (!backing) {
        return fail(backing.error());
    }
    const auto control = open_device("/dev/loop-control", O_RDWR);
    if (!control) {
        return fail(control.error(), "this kernel mounts EROFS from block devices only, and there are no loop devices");
    }
    loop_config config{};
    config.fd = static_cast<__u32>(backing->get());
    // Direct, or the kernel reads one request after the other, through a page cache of its own.
    config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
    const auto slash = file.rfind('/');
    const auto name = std::string_view{file}.substr(slash == std::string::npos ? 0 : slash + 1, LO_NAME_SIZE - 1);
    std::copy(name.begin(), name.end(), static_cast<unsigned char*>(config.info.lo_file_name));
    for (int i = 0; i < kTries; ++i) {
        const int number = ::ioctl(control->get(), LOOP_CTL_GET_FREE);
        if (number < 0) {
            return fail_errno(errno, "finding a free loop device");
        }
        auto path = fmt::format("/dev/loop{}", number);
        auto device = open_device(path, O_RDONLY);
        if (!device) {
            return fail(device.error());
        }
        if (::ioctl(device->get(), LOOP_CONFIGURE, &config) == 0) {
            return LoopDevice{std::move(*device), std::move(path)};
        }
        if (errno != EBUSY) {
            return fail_errno(errno, fmt::format("{}: setting up {}", path, file));
        }
    }
    return fail_errno(EBUSY, "finding a free loop device");
}

std::optional<std::string> loop_backing_file(const std::string& path)
{
    constexpr std::string_view kDevices = "/dev/";
    if (!path.starts_with(kLoopDevices)) {
        return std::nullopt;
    }
    std::ifstream attribute{fmt::format("/sys/block/{}/loop/backing_file", path.substr(kDevices.size()))};
    std::string file;
    if (!std::getline(attribute, file)) {
        return std::nullopt;
    }
    return file;
}

} // namespace sluice::tools
