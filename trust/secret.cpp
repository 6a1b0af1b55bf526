// SPDX-License-Identifier: Apache-2.0
#include "trust/secret.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::trust {

namespace {

constexpr std::size_t kMaxSize = 64 * 1024;
constexpr mode_t kOthers = 077;

Result<void> check_mode(int fd, const std::filesystem::path& file, const std::string& what)
{
    struct stat status {};

    if (::fstat(fd, &status) != 0) {
        return fail_errno(errno, what);
    }
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & kOthers) == 0) {
        return {};
    }
    return fail(
        ErrorKind::kDenied,
        fmt::format(
            "{}: its mode {:04o} lets others use it, so it is not used; run: chmod 600 {}",
            what,
            status.st_mode & 07777,
            printable(file.string())
        )
    );
}

} // namespace

Result<Secret> read_secret_file(const std::filesystem::path& file, const std::string& what)
{
    const UniqueFd fd{kAdoptFd, ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (!fd) {
        return fail_errno(errno, what);
    }
    if (auto checked = check_mode(fd.get(), file, what); !checked) {
        return fail(checked.error());
    }
    Secret text{kMaxSize};
    while (true) {
        const auto count = text.read_from(fd.get());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, what);
        }
        if (text.view().size() == kMaxSize) {
            return fail(ErrorKind::kInvalid, fmt::format("{}: longer than {} bytes", what, kMaxSize - 1));
        }
        if (count == 0) {
            return text;
        }
    }
}

} // namespace sluice::trust
