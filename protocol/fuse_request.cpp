// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_request.hpp"

#define FUSE_USE_VERSION 312

#include <cerrno>
#include <fuse_lowlevel.h>
#include <sys/stat.h>

namespace sluice::protocol {

namespace {

/// A name means one content for ever, and what may be opened is asked at the opening: the kernel need not ask again.
constexpr double kForLong = 86400.0;

struct stat describe(const FuseFile& file)
{
    struct stat info {};

    info.st_ino = file.inode;
    info.st_blksize = 4096;
    if (file.inode == kFuseRoot) {
        info.st_mode = S_IFDIR | 0500U;
        info.st_nlink = 2;
    } else {
        info.st_mode = S_IFREG | 0400U;
        info.st_nlink = 1;
        info.st_size = static_cast<off_t>(file.size);
        info.st_blocks = static_cast<blkcnt_t>(file.size / 512);
    }
    return info;
}

} // namespace

FuseRequest& FuseRequest::operator=(FuseRequest&& other) noexcept
{
    if (this != &other) {
        error(EIO);
        session_ = std::move(other.session_);
        request_ = std::exchange(other.request_, nullptr);
    }
    return *this;
}

FuseRequest::~FuseRequest()
{
    error(EIO);
}

bool FuseRequest::error(int code)
{
    auto* request = take();
    return request != nullptr && ::fuse_reply_err(request, code) == 0;
}

bool FuseRequest::entry(const FuseFile& file)
{
    auto* request = take();
    fuse_entry_param entry{};
    entry.ino = file.inode;
    entry.attr = describe(file);
    entry.attr_timeout = kForLong;
    entry.entry_timeout = kForLong;
    return request != nullptr && ::fuse_reply_entry(request, &entry) == 0;
}

bool FuseRequest::attributes(const FuseFile& file)
{
    auto* request = take();
    const auto info = describe(file);
    return request != nullptr && ::fuse_reply_attr(request, &info, kForLong) == 0;
}

bool FuseRequest::opened(std::uint64_t handle)
{
    auto* request = take();
    fuse_file_info info{};
    info.fh = handle;
    // EROFS caches what it reads. A cache of ours below it would hold everything twice, and was measured to be slower.
    // Metadata goes through the file's page cache all the same, and may stay: the bytes of a blob never change.
    info.direct_io = 1;
    info.keep_cache = 1;
    info.noflush = 1;
    return request != nullptr && ::fuse_reply_open(request, &info) == 0;
}

bool FuseRequest::data(std::span<const std::byte> bytes)
{
    auto* request = take();
    const auto* memory = static_cast<const char*>(static_cast<const void*>(bytes.data()));
    return request != nullptr && ::fuse_reply_buf(request, memory, bytes.size()) == 0;
}

bool FuseListing::add(const std::string& name, std::uint64_t inode, bool directory, std::uint64_t next)
{
    struct stat info {};

    info.st_ino = inode;
    info.st_mode = directory ? S_IFDIR : S_IFREG;
    const auto before = bytes_.size();
    const auto size = ::fuse_add_direntry(nullptr, nullptr, 0, name.c_str(), nullptr, 0);
    if (before + size > room_) {
        return false;
    }
    bytes_.resize(before + size);
    ::fuse_add_direntry(nullptr, bytes_.data() + before, size, name.c_str(), &info, static_cast<off_t>(next));
    return true;
}

} // namespace sluice::protocol
