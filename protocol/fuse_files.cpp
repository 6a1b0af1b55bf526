// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_files.hpp"

#include "base/log.hpp"

#include <cerrno>
#include <utility>

namespace sluice::protocol {

FuseFiles::FuseFiles(FuseContents contents, FuseState& state) : contents_{std::move(contents)}, state_{state}
{
    for (std::uint64_t node = kFuseRoot + 1; node <= kFuseRoot + state_.names(); ++node) {
        inodes_.emplace(state_.name_of(node), node);
    }
}

Result<FuseFile> FuseFiles::find(std::string_view name)
{
    const auto size = contents_.size_of(name);
    if (!size) {
        return fail(ErrorKind::kNotFound, "no blob has that name", ENOENT);
    }
    auto known = inodes_.find(name);
    if (known == inodes_.end()) {
        const auto node = state_.add_name(name);
        if (!node) {
            if (!std::exchange(has_told_full_, true)) {
                log::warning(
                    "fuse: {} blobs have been used since the file system was mounted, and it has room for no more; a "
                    "start after SIGINT (systemctl stop) begins anew",
                    FuseStateLayout::kNames
                );
            }
            return fail(ErrorKind::kNoSpace, "this FUSE connection has no more node ids", ENFILE);
        }
        known = inodes_.emplace(name, *node).first;
    }
    return FuseFile{known->second, *size};
}

std::optional<FuseFile> FuseFiles::get(std::uint64_t inode) const
{
    const auto name = state_.name_of(inode);
    const auto size = name.empty() ? std::nullopt : contents_.size_of(name);
    return size ? std::optional{FuseFile{inode, *size}} : std::nullopt;
}

FuseListing FuseFiles::list(std::uint64_t from, std::size_t room) const
{
    FuseListing listing{room};
    const auto cookies = contents_.cookies();
    auto more = [&, at = std::uint64_t{0}](std::string_view name, bool directory) mutable {
        ++at;
        return at <= from || listing.add(name, directory ? kFuseRoot : at + kFuseRoot, directory, at);
    };
    if (more(".", true) && more("..", true)) {
        for (const auto& cookie : cookies) {
            if (!more(cookie, false)) {
                break;
            }
        }
    }
    return listing;
}

} // namespace sluice::protocol
