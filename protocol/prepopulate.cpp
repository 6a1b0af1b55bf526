// SPDX-License-Identifier: Apache-2.0
//
// The kernel's own order is kept: directories with their attribute first, then a file that is whole, has its attribute
// and is on disk, and only then its name. A crash in between leaves either nothing or what Hygiene removes.
#include "protocol/prepopulate.hpp"

#include "base/text.hpp"
#include "protocol/cookie_path.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <span>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sluice::protocol {

namespace fs = std::filesystem;

namespace {

Result<void> make_directory(const fs::path& path)
{
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_errno(errno, path.string());
    }
    return {};
}

Result<void> sync_directory(const fs::path& path)
{
    const UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!fd || ::fsync(fd.get()) != 0) {
        return fail_errno(errno, path.string());
    }
    return {};
}

Result<void> make_volume(const fs::path& path)
{
    if (auto made = make_directory(path); !made) {
        return made;
    }
    std::array<std::byte, 64> value{};
    const auto length = ::lgetxattr(path.c_str(), kCacheXattr, value.data(), value.size());
    if (length >= 0) {
        const auto read = std::span<const std::byte>{value}.first(static_cast<std::size_t>(length));
        if (check_volume_xattr(read)) {
            return {};
        }
        return fail(ErrorKind::kInvalid, fmt::format("{}: has a {} that is not ours", path.string(), kCacheXattr));
    }
    const auto wanted = encode_volume_xattr();
    if (errno != ENODATA || ::lsetxattr(path.c_str(), kCacheXattr, wanted.data(), wanted.size(), XATTR_CREATE) != 0) {
        return fail_errno(errno, fmt::format("{}: {}", path.string(), kCacheXattr));
    }
    return {};
}

} // namespace

Result<Prepopulation> Prepopulation::begin(Target target)
{
    if (auto valid = validate_cookie_key(target.cookie); !valid) {
        return fail(valid.error());
    }
    if (target.volume.empty() || target.volume.size() > kVolumeKeyMax ||
        target.volume.find_first_of(std::string_view{"/\0", 2}) != std::string::npos) {
        return fail(ErrorKind::kInvalid, fmt::format("'{}' cannot be a volume", printable(target.volume)));
    }
    if (auto made = make_directory(target.private_dir); !made) {
        return fail(made.error());
    }
    auto pattern = (target.private_dir / "fill-XXXXXX").string();
    const UniqueFd reserved{kAdoptFd, ::mkostemp(pattern.data(), O_CLOEXEC)};
    if (!reserved) {
        return fail_errno(errno, pattern);
    }
    auto file = FileHandle::open(pattern, target.size);
    if (!file) {
        ::unlink(pattern.c_str());
        return fail(file.error());
    }
    return Prepopulation{std::move(target), std::move(*file)};
}

Prepopulation::Prepopulation(Target target, std::shared_ptr<FileHandle> file)
    : target_{std::move(target)}, file_{std::move(file)}
{}

Prepopulation::Prepopulation(Prepopulation&& other) noexcept
    : target_{std::move(other.target_)}, file_{std::move(other.file_)}, committed_{other.committed_}
{}

Prepopulation::~Prepopulation()
{
    if (file_ && !committed_) {
        ::unlink(file_->path().c_str());
    }
}

Result<void> Prepopulation::commit()
{
    const auto store = target_.cache_dir / "cache";
    const auto volume = store / volume_directory(target_.volume);
    const auto fan = volume / fan_directory(target_.volume, target_.cookie);
    const auto path = fan / cook_key(target_.cookie);
    const auto value = encode_file_xattr(target_.size);
    if (::fsetxattr(file_->fd(), kCacheXattr, value.data(), value.size(), 0) != 0) {
        return fail_errno(errno, fmt::format("{}: {}", file_->path().string(), kCacheXattr));
    }
    if (auto synced = file_->sync(); !synced) {
        return synced;
    }
    if (auto made = make_directory(store); !made) {
        return made;
    }
    if (auto made = make_volume(volume); !made) {
        return made;
    }
    if (auto made = make_directory(fan); !made) {
        return made;
    }
    // Never over a file that is there: the kernel may have it open, and would go on with a file without a name.
    if (::renameat2(AT_FDCWD, file_->path().c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
        return fail_errno(errno, path.string());
    }
    committed_ = true;
    for (const auto& directory : {fan, volume, store}) {
        if (auto synced = sync_directory(directory); !synced) {
            return synced;
        }
    }
    return {};
}

Result<CommittedFile> find_committed(const fs::path& cache_dir, const std::string& volume, const std::string& cookie)
{
    CommittedFile found;
    found.path = cache_dir / cookie_path(volume, cookie);
    UniqueFd fd{kAdoptFd, ::open(found.path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd) {
        return fail_errno(errno, found.path.string());
    }
    std::array<std::byte, 64> value{};
    const auto length = ::fgetxattr(fd.get(), kCacheXattr, value.data(), value.size());
    if (length < 0) {
        return fail_errno(errno, fmt::format("{}: {}", found.path.string(), kCacheXattr));
    }
    const auto size = check_file_xattr(std::span<const std::byte>{value}.first(static_cast<std::size_t>(length)));
    if (!size) {
        return fail(ErrorKind::kCorrupt, fmt::format("{}: {} is not valid", found.path.string(), kCacheXattr));
    }
    found.size = *size;
    const FileHandle file{std::move(fd), found.path, false};
    const auto whole = ByteRange{0, *size}.align_out(kBlockSize);
    const auto missing = file.missing(whole);
    if (!missing) {
        return fail(missing.error());
    }
    found.present = whole.size();
    for (const auto& hole : *missing) {
        found.present -= hole.size();
    }
    return found;
}

} // namespace sluice::protocol
