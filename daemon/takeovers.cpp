// SPDX-License-Identifier: Apache-2.0
#include "daemon/takeovers.hpp"

#include "base/log.hpp"

#include <cerrno>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace sluice::daemon {

namespace {

constexpr std::string_view kName = "takeovers"; ///< in the descriptor store

} // namespace

std::uint64_t count_takeover(FdStore& descriptors)
{
    std::uint64_t count = 0;
    auto note = descriptors.take(kName);
    if (note && ::pread(note.get(), &count, sizeof count, 0) == sizeof count) {
        ++count;
    } else {
        count = 0;
        if (!descriptors.keeps()) {
            return 0;
        }
        note = UniqueFd{kAdoptFd, ::memfd_create("sluice-takeovers", MFD_CLOEXEC)};
        if (const auto kept = note ? descriptors.keep(kName, note.get()) : fail_errno(errno, "memfd_create"); !kept) {
            log::warning("takeovers are not counted: {}", kept.error().text());
            return 0;
        }
    }
    if (::pwrite(note.get(), &count, sizeof count, 0) != sizeof count) {
        log::warning("the takeover cannot be noted");
    }
    return count;
}

} // namespace sluice::daemon
