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

/// How many of `total` have to become available until `per_cent` of them are. A file system that does not count files
/// has 0 of them.
std::uint64_t lacking(std::uint64_t available, std::uint64_t total, unsigned per_cent) noexcept
{
    const auto wanted = total / 100 * per_cent;
    return available < wanted ? wanted - available : 0;
}

} // namespace

bool below_stop(const struct statvfs& fs, const CacheLimits& limits) noexcept
{
    return lacking(fs.f_bavail, fs.f_blocks, limits.blocks.stop) != 0 ||
           lacking(fs.f_ffree, fs.f_files, limits.files.stop) != 0;
}

SpaceLevel space_level(const struct statvfs& fs, const CacheLimits& limits) noexcept
{
    if (lacking(fs.f_bavail, fs.f_blocks, limits.blocks.cull) != 0 ||
        lacking(fs.f_ffree, fs.f_files, limits.files.cull) != 0) {
        return SpaceLevel::kBelowCull;
    }
    const bool below_run = lacking(fs.f_bavail, fs.f_blocks, limits.blocks.run) != 0 ||
                           lacking(fs.f_ffree, fs.f_files, limits.files.run) != 0;
    return below_run ? SpaceLevel::kBelowRun : SpaceLevel::kAmple;
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
    Figures figures{fs.f_blocks * fs.f_frsize, fs.f_bavail * fs.f_frsize, space_level(fs, limits_)};
    figures.bytes_to_run = lacking(fs.f_bavail, fs.f_blocks, limits_.blocks.run) * fs.f_frsize;
    figures.files_to_run = lacking(fs.f_ffree, fs.f_files, limits_.files.run);
    return figures;
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
        const auto figures = look_again();
        if (figures && told_) {
            told_(figures->level);
        }
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
