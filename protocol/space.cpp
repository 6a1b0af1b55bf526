// SPDX-License-Identifier: Apache-2.0
#include "protocol/space.hpp"

#include "base/log.hpp"

#include <cerrno>
#include <fmt/format.h>

namespace sluice::protocol {

namespace {

constexpr std::uint64_t kBytesBetweenLooks = std::uint64_t{16} << 20;
constexpr milliseconds kTimeBetweenLooks{100};

int ask_file_system(const std::string& directory, struct statvfs& into)
{
    return ::statvfs(directory.c_str(), &into) == 0 ? 0 : -errno;
}

} // namespace

bool below_stop(const struct statvfs& fs, const CacheLimits& limits) noexcept
{
    const auto below = [](std::uint64_t available, std::uint64_t total, unsigned per_cent) {
        return total != 0 && available < total / 100 * per_cent;
    };
    return below(fs.f_bavail, fs.f_blocks, limits.blocks.stop) || below(fs.f_ffree, fs.f_files, limits.files.stop);
}

Space::Space(std::string directory, CacheLimits limits, Look look)
    : directory_{std::move(directory)}, limits_{limits}, look_{look ? std::move(look) : Look{ask_file_system}}
{}

std::optional<Space::Figures> Space::look_again()
{
    struct statvfs fs {};

    if (look_(directory_, fs) != 0) {
        return std::nullopt;
    }
    const bool low = below_stop(fs, limits_);
    if (low != low_.exchange(low)) {
        if (low) {
            log::error(
                "{}: free space is below bstop ({} %) or fstop ({} %): nothing more is stored, and reads of what is "
                "not "
                "there fail, until there is more",
                directory_,
                limits_.blocks.stop,
                limits_.files.stop
            );
        } else {
            log::info("{}: there is free space again", directory_);
        }
    }
    return Figures{fs.f_blocks * fs.f_frsize, fs.f_bavail * fs.f_frsize};
}

std::optional<Space::Figures> Space::look()
{
    const MutexLock lock{mutex_};
    return look_again();
}

Result<void> Space::admit(std::uint64_t bytes)
{
    const MutexLock lock{mutex_};
    const auto now = SteadyClock::now();
    admitted_ += bytes;
    if (!has_looked_ || low_ || admitted_ > kBytesBetweenLooks || now - looked_ > kTimeBetweenLooks) {
        has_looked_ = true;
        looked_ = now;
        admitted_ = 0;
        (void)look_again();
    }
    if (!low_) {
        return {};
    }
    ++refused_;
    return fail(
        ErrorKind::kNoSpace, fmt::format("{}: free space is below the stop limits bstop or fstop", directory_), ENOSPC
    );
}

} // namespace sluice::protocol
