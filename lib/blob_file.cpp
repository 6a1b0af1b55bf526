// SPDX-License-Identifier: Apache-2.0
#include "lib/blob_file.hpp"

#include "lib/sluice.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utility>

namespace sluice::lib {

namespace {

constexpr std::uint64_t kGrain = 4096; // what the daemon writes in
constexpr std::uint64_t kAhead = 1U << 20;

} // namespace

int BlobFile::open(UniqueFd fd, std::uint64_t size, std::shared_ptr<BlobFile>& out)
{
    struct stat info {};

    struct statfs64 about = {};

    if (::fstat(fd.get(), &info) != 0 || ::fstatfs64(fd.get(), &about) != 0) {
        return -errno;
    }
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (!S_ISREG(info.st_mode) || flags < 0 || (flags & O_ACCMODE) != O_RDONLY) {
        return -EPROTO;
    }
    // No readahead of the kernel's: it would fill memory with the zeros of holes, which others may take for data.
    (void)::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_RANDOM);
    const auto block = about.f_bsize;
    const bool usable = block > 0 && block <= (1 << 30) && (block & (block - 1)) == 0;
    out = std::make_shared<BlobFile>(
        std::move(fd), size, usable ? static_cast<std::uint32_t>(block) : 4096U, info.st_dev, info.st_ino
    );
    return 0;
}

BlobFile::BlobFile(UniqueFd fd, std::uint64_t size, std::uint32_t block_size, dev_t device, ino_t inode)
    : fd_{std::move(fd)}, size_{size}, block_size_{block_size}, device_{device}, inode_{inode}
{}

BlobFile::Run BlobFile::probe(std::uint64_t offset)
{
    {
        const MutexLock lock{mutex_};
        if (offset >= known_begin_ && offset < known_end_) {
            return {true, known_end_ - offset};
        }
    }
    const auto begin = offset & ~(kGrain - 1);
    std::uint64_t length = size_ - begin;
    unsigned long flags = 0;
    struct sluice_ondemand surroundings = SLUICE_ONDEMAND_INIT;
    surroundings.block_size = block_size_;
    surroundings.cookie_flags = SLUICE_COOKIE_WRITTEN_ONLY;
    const auto source = sluice_prepare_ondemand_read(
        fd_.get(), static_cast<std::int64_t>(begin), &length, static_cast<std::int64_t>(size_), &flags, &surroundings
    );
    const auto end = begin + length;
    if (source == SLUICE_READ_FROM_CACHE && end > offset) {
        const MutexLock lock{mutex_};
        const bool touches = begin <= known_end_ && known_begin_ <= end && known_end_ != 0;
        known_begin_ = touches ? std::min(begin, known_begin_) : begin;
        known_end_ = touches ? std::max(end, known_end_) : end;
        return {true, end - offset};
    }
    const bool hole = source == SLUICE_DOWNLOAD_FROM_SERVER && surroundings.why != SLUICE_WHY_SEEK_ERROR;
    return {false, hole && end > offset ? end - offset : 0};
}

void BlobFile::read_ahead(std::uint64_t offset, std::uint64_t length)
{
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    {
        const MutexLock lock{mutex_};
        const bool in_order = offset == next_;
        next_ = offset + length;
        ahead_ = in_order ? std::max(ahead_, offset) : next_;
        if (!in_order || ahead_ >= next_ + kAhead / 2 || ahead_ < known_begin_) {
            return;
        }
        begin = ahead_;
        end = std::min(next_ + kAhead, known_end_); // never into a hole
        if (begin >= end) {
            return;
        }
        ahead_ = end;
    }
    (void)::posix_fadvise(fd_.get(), static_cast<off_t>(begin), static_cast<off_t>(end - begin), POSIX_FADV_WILLNEED);
}

int BlobFile::read(std::uint64_t offset, std::span<std::byte> out)
{
    read_ahead(offset, out.size());
    while (!out.empty()) {
        const auto got = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? -errno : -EIO;
        }
        out = out.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return 0;
}

} // namespace sluice::lib
