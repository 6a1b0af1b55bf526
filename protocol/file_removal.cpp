// SPDX-License-Identifier: Apache-2.0
#include "protocol/file_removal.hpp"

#include "base/unique_fd.hpp"
#include "protocol/command.hpp"
#include "protocol/kernel_io.hpp"

#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <string>
#include <sys/utsname.h>
#include <unistd.h>

namespace sluice::protocol {

namespace {

constexpr std::string_view kHarmful = "6.19.";
constexpr unsigned kMended = 14;

Result<void> have_own_directory()
{
    thread_local bool has_own = false;
    if (!has_own && ::unshare(CLONE_FS) != 0) {
        return fail_errno(errno, "cannot get a working directory for one thread");
    }
    has_own = true;
    return {};
}

std::string running_release()
{
    struct utsname names {};

    return ::uname(&names) == 0 ? names.release : "";
}

} // namespace

bool has_harmless_cull(std::string_view release) noexcept
{
    if (!release.starts_with(kHarmful)) {
        return true;
    }
    unsigned patch = 0;
    const auto digits = release.substr(kHarmful.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), patch);
    return patch >= kMended;
}

Result<void> remove_file(const std::filesystem::path& file)
{
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
        return fail_errno(errno, fmt::format("cannot remove {}", file.string()));
    }
    return {};
}

Result<void> cull_file(KernelIo& io, int device, const std::filesystem::path& file)
{
    static const bool kIsHarmless = has_harmless_cull(running_release());
    if (!kIsHarmless) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format(
                "{} stays: removing files from a cachefiles cache harms this kernel (6.19 before 6.19.14, "
                "CVE-2026-43106); use a newer one, or front-end fuse",
                file.string()
            )
        );
    }
    const auto command = cull_command(file.filename().string());
    if (!command) {
        return fail(command.error());
    }
    if (auto own = have_own_directory(); !own) {
        return own;
    }
    const auto parent = file.parent_path();
    const UniqueFd directory{kAdoptFd, ::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!directory) {
        return errno == ENOENT ? Result<void>{} : fail_errno(errno, parent.string());
    }
    if (::fchdir(directory.get()) != 0) {
        return fail_errno(errno, parent.string());
    }
    const int code = -io.write(device, *command);
    [[maybe_unused]] const int left = ::chdir("/"); // the cache's file system can be unmounted once nobody else uses it
    if (code == 0 || code == ENOENT) {
        return {};
    }
    // ESTALE: another file has taken its place meanwhile, which somebody is about to use.
    if (code == EBUSY || code == ESTALE) {
        return fail(ErrorKind::kTransient, fmt::format("{}: a mount uses it", file.string()), EBUSY);
    }
    return fail_errno(code, fmt::format("cannot have the kernel remove {}", file.string()));
}

} // namespace sluice::protocol
