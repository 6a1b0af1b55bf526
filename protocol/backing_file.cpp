// SPDX-License-Identifier: Apache-2.0
#include "protocol/backing_file.hpp"

#include "base/mutex.hpp"
#include "protocol/cookie_path.hpp"

#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <span>
#include <sys/xattr.h>
#include <unistd.h>

namespace sluice::protocol {

namespace {

/// More than one is only needed when somebody else makes or deletes files meanwhile.
constexpr int kRounds = 4;

/// Who removes a file must not remove what another has just put in its place.
Mutex removing;

/// False when the file is not one for a blob of this size.
Result<bool> is_sound(const FileHandle& file, std::uint64_t size)
{
    std::array<std::byte, 64> value{};
    const auto length = ::fgetxattr(file.fd(), kCacheXattr, value.data(), value.size());
    if (length < 0) {
        if (errno == ENODATA || errno == ERANGE) {
            return false;
        }
        return fail_errno(errno, fmt::format("{}: {}", file.path().string(), kCacheXattr));
    }
    return check_file_xattr(std::span<const std::byte>{value}.first(static_cast<std::size_t>(length))) == size;
}

/// Removes the file unless it is in order by now. Here nothing waits for the disk to have written anything, so that one
/// slow opening does not hold up all others.
Result<void> remove_unsound(const std::filesystem::path& path, std::uint64_t size)
{
    const MutexLock lock{removing};
    const auto opened = FileHandle::open_existing(path, size);
    if (!opened) {
        return opened.error().code() == ENOENT ? Result<void>{} : fail(opened.error());
    }
    const auto sound = is_sound(**opened, size);
    if (!sound) {
        return fail(sound.error());
    }
    if (!*sound && ::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return fail_errno(errno, path.string());
    }
    return {};
}

} // namespace

Result<std::shared_ptr<FileHandle>> open_backing_file(const Prepopulation::Target& blob)
{
    const auto path = blob.cache_dir / cookie_path(blob.volume, blob.cookie);
    for (int round = 0; round < kRounds; ++round) {
        auto opened = FileHandle::open_existing(path, blob.size);
        if (opened) {
            const auto sound = is_sound(**opened, blob.size);
            if (!sound) {
                return fail(sound.error());
            }
            if (*sound) {
                return opened;
            }
            if (auto removed = remove_unsound(path, blob.size); !removed) {
                return fail(removed.error());
            }
        } else if (opened.error().code() != ENOENT) {
            return opened;
        }
        auto fresh = Prepopulation::begin(blob);
        if (!fresh) {
            return fail(fresh.error());
        }
        const auto placed = fresh->commit();
        if (placed) {
            auto file = fresh->file();
            file->moved_to(path);
            return file;
        }
        if (placed.error().code() != EEXIST) {
            return fail(placed.error());
        }
    }
    return fail(ErrorKind::kTransient, fmt::format("{}: somebody keeps removing it", path.string()));
}

} // namespace sluice::protocol
