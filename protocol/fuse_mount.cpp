// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_mount.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace sluice::protocol {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kNameDigits = 8;

constexpr const char* kType = "fuse.sluice";

/// A path as mount tables write it.
std::string escape(std::string_view path)
{
    std::string escaped;
    for (const char c : path) {
        if (c == ' ' || c == '\t' || c == '\n' || c == '\\') {
            escaped += fmt::format("\\{:03o}", static_cast<unsigned>(c));
        } else {
            escaped += c;
        }
    }
    return escaped;
}

/// Whether one of our file systems is mounted there. The table of mounts is read, and no file system is asked.
Result<bool> is_mounted(const fs::path& path)
{
    std::error_code error;
    const auto base = fs::canonical(path.parent_path(), error);
    if (error == std::errc::no_such_file_or_directory) {
        return false;
    }
    if (error) {
        return fail_errno(error.value(), path.parent_path().string());
    }
    std::ifstream table{"/proc/self/mountinfo"};
    const auto place = escape((base / path.filename()).native());
    const auto type = fmt::format(" - {} ", kType);
    std::string line;
    bool found = false;
    while (std::getline(table, line)) {
        // Number, parent, device, root, mount point.
        std::istringstream fields{line};
        std::string field;
        for (int i = 0; i < 5; ++i) {
            fields >> field;
        }
        found = found || (field == place && line.find(type) != std::string::npos);
    }
    if (!table.eof()) {
        return fail(ErrorKind::kInternal, "/proc/self/mountinfo cannot be read");
    }
    return found;
}

Result<UniqueFd> lock_base(const fs::path& base)
{
    std::error_code error;
    fs::create_directories(base.parent_path(), error);
    if (::mkdir(base.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_errno(errno, base.string());
    }
    const auto path = base / ".lock";
    UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!fd) {
        return fail_errno(errno, path.string());
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return fail(
                ErrorKind::kTransient, fmt::format("{}: another sluiced serves its blobs there", base.string()), EBUSY
            );
        }
        return fail_errno(errno, path.string());
    }
    return fd;
}

Result<UniqueFd> open_session()
{
    UniqueFd fd{kAdoptFd, ::open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK)};
    if (!fd) {
        const int code = errno;
        const bool missing = code == ENOENT || code == ENODEV || code == ENXIO;
        auto error = Error::from_errno(
            code,
            missing ? "/dev/fuse: the kernel has no FUSE, or its module is not loaded (modprobe fuse)" : "/dev/fuse"
        );
        return fail(missing ? ErrorKind::kUnsupported : error.kind(), error.text(), code);
    }
    return fd;
}

Result<fs::path> make_mount_point(const fs::path& base)
{
    constexpr int kTries = 16;
    for (int i = 0; i < kTries; ++i) {
        std::uint32_t number = 0;
        if (::getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number) {
            return fail_errno(errno, "getrandom");
        }
        auto path = base / fmt::format("{:08x}", number);
        if (::mkdir(path.c_str(), 0700) == 0) {
            return path;
        }
        if (errno != EEXIST) {
            return fail_errno(errno, path.string());
        }
    }
    return fail_errno(EEXIST, base.string());
}

} // namespace

bool is_fuse_generation(std::string_view name) noexcept
{
    return name.size() == kNameDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

void detach_mount(const fs::path& mount_point)
{
    while (::umount2(mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
    ::rmdir(mount_point.c_str());
}

void detach_stale_mounts(const fs::path& base, std::string_view keep)
{
    // Reading the directory above the mounts and detaching them asks nothing of the file systems: they may be dead, or
    // hang, and one day be our own.
    std::error_code error;
    std::vector<fs::path> found;
    for (fs::directory_iterator at{base, error}; !error && at != fs::directory_iterator{}; at.increment(error)) {
        const auto name = at->path().filename().string();
        if (is_fuse_generation(name) && name != keep) {
            found.push_back(at->path());
        }
    }
    for (const auto& path : found) {
        detach_mount(path);
    }
}

Result<FuseMount> FuseMount::mount(const fs::path& base)
{
    auto lock = lock_base(base);
    if (!lock) {
        return fail(lock.error());
    }
    auto session = open_session();
    if (!session) {
        return fail(session.error());
    }
    detach_stale_mounts(base);
    auto path = make_mount_point(base);
    if (!path) {
        return fail(path.error());
    }
    // No allow_other: root alone, whatever the modes say.
    const auto options = fmt::format("fd={},rootmode=40000,user_id=0,group_id=0,default_permissions", session->get());
    constexpr unsigned long kFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME;
    if (::mount("sluice", path->c_str(), kType, kFlags, options.c_str()) != 0) {
        const int code = errno;
        ::rmdir(path->c_str());
        return fail_errno(code, fmt::format("mounting a FUSE file system at {}", path->string()));
    }
    return FuseMount{std::move(*lock), std::move(*session), std::move(*path)};
}

Result<FuseMount> FuseMount::adopt(const fs::path& path)
{
    const auto mounted = is_mounted(path);
    if (!mounted) {
        return fail(ErrorKind::kTransient, mounted.error().text(), mounted.error().code());
    }
    if (!*mounted) {
        return fail(ErrorKind::kInvalid, fmt::format("it is not mounted at {} any more", path.string()));
    }
    const auto base = path.parent_path();
    auto lock = lock_base(base);
    if (!lock) {
        const auto& why = lock.error();
        return fail(ErrorKind::kTransient, why.text(), why.code());
    }
    detach_stale_mounts(base, path.filename().string());
    return FuseMount{std::move(*lock), {}, path};
}

FuseMount::~FuseMount()
{
    if (lock_ && !left_) {
        ::umount2(path_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
        ::rmdir(path_.c_str());
    }
}

} // namespace sluice::protocol
