// SPDX-License-Identifier: Apache-2.0
#include "cache/tree_store.hpp"

#include "base/unique_fd.hpp"
#include "lib/sluice.h"

#include <cassert>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits>
#include <unistd.h>
#include <utility>

namespace sluice::cache {
namespace {

constexpr auto kMaxOffset = std::numeric_limits<std::int64_t>::max();

bool is_present(int fd, ByteRange blocks)
{
    if (blocks.end() > static_cast<std::uint64_t>(kMaxOffset)) {
        return false;
    }
    std::uint64_t len = blocks.size();
    unsigned long flags = 0;
    const auto source =
        sluice_prepare_ondemand_read(fd, static_cast<std::int64_t>(blocks.begin()), &len, kMaxOffset, &flags, nullptr);
    return source == SLUICE_READ_FROM_CACHE && len == blocks.size();
}

bool read_all(int fd, std::uint64_t offset, std::span<std::byte> out)
{
    while (!out.empty()) {
        const auto got = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        out = out.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return true;
}

} // namespace

TreeStore::TreeStore(std::filesystem::path directory) : directory_{std::move(directory)} {}

std::filesystem::path TreeStore::file_of(const Digest& blob) const
{
    return directory_ / blob.hex();
}

std::optional<std::vector<std::byte>> TreeStore::read(const Digest& blob, ByteRange range) const
{
    assert(!range.empty());
    const UniqueFd fd{kAdoptFd, ::open(file_of(blob).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd || !is_present(fd.get(), range.align_out(kBlockSize))) {
        return std::nullopt;
    }
    std::vector<std::byte> bytes(range.size());
    if (!read_all(fd.get(), range.begin(), bytes)) {
        return std::nullopt;
    }
    return bytes;
}

Result<void> TreeStore::write(const Digest& blob, std::uint64_t offset, std::span<const std::byte> data) const
{
    assert(
        offset % kBlockSize == 0 && data.size() % kBlockSize == 0
    ); // else a part of a block would pass for all of it
    const auto file = file_of(blob);
    const UniqueFd fd{kAdoptFd, ::open(file.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!fd) {
        return fail_errno(errno, fmt::format("{}: cannot open", file.string()));
    }
    while (!data.empty()) {
        const auto put = ::pwrite(fd.get(), data.data(), data.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return fail_errno(errno, fmt::format("{}: writing at {}", file.string(), offset));
        }
        data = data.subspan(static_cast<std::size_t>(put));
        offset += static_cast<std::uint64_t>(put);
    }
    return {};
}

Result<void> TreeStore::remove(const Digest& blob) const
{
    const auto file = file_of(blob);
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
        return fail_errno(errno, fmt::format("{}: cannot remove", file.string()));
    }
    return {};
}

Result<std::size_t> TreeStore::remove_others(const std::set<Digest>& kept) const
{
    std::error_code error;
    std::vector<Digest> others;
    for (std::filesystem::directory_iterator it{directory_, error}, end; !error && it != end; it.increment(error)) {
        const auto blob = Digest::parse_hex(it->path().filename().string());
        if (blob && !kept.contains(*blob)) {
            others.push_back(*blob);
        }
    }
    if (error) {
        return fail_errno(error.value(), fmt::format("{}: cannot list", directory_.string()));
    }
    for (const auto& blob : others) {
        if (auto removed = remove(blob); !removed) {
            return fail(removed.error());
        }
    }
    return others.size();
}

} // namespace sluice::cache
