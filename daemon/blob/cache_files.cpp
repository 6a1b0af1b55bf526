// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/cache_files.hpp"

#include "protocol/cookie_path.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <utility>

namespace sluice::daemon {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kStatBlock = 512;

/// What is not there, or is no file, takes nothing.
void add(CacheFiles::Size& size, const fs::path& file)
{
    struct stat about {};

    if (::lstat(file.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) {
        return;
    }
    const auto used = std::max(about.st_atim.tv_sec, about.st_mtim.tv_sec);
    size.bytes += static_cast<std::uint64_t>(about.st_blocks) * kStatBlock;
    size.last_use = std::max(size.last_use, cache::WallTime{std::chrono::seconds{used}});
}

std::vector<fs::path> list(const fs::path& directory)
{
    std::error_code error;
    std::vector<fs::path> found;
    for (fs::directory_iterator it{directory, error}, end; !error && it != end; it.increment(error)) {
        found.push_back(it->path());
    }
    return found;
}

} // namespace

fs::path CacheFiles::data_of(const Digest& identity) const
{
    return place_.cache_dir / protocol::cookie_path(place_.volume, identity.hex());
}

CacheFiles::Size CacheFiles::measure(const Digest& identity) const
{
    Size size{identity, 0, {}};
    add(size, data_of(identity));
    add(size, trees_ / identity.hex());
    return size;
}

std::vector<CacheFiles::Size> CacheFiles::find_all() const
{
    std::map<Digest, Size> found;
    const auto take = [&found](const fs::path& file, const std::string& hex) {
        if (const auto identity = Digest::parse_hex(hex)) {
            add(found.try_emplace(*identity, Size{*identity, 0, {}}).first->second, file);
        }
    };
    for (const auto& fan : list(place_.cache_dir / "cache" / protocol::volume_directory(place_.volume))) {
        for (const auto& file : list(fan)) {
            const auto name = file.filename().string();
            const auto hex = name.substr(std::min<std::size_t>(1, name.size()));
            if (name == protocol::cook_key(hex)) {
                take(file, hex);
            }
        }
    }
    for (const auto& file : list(trees_)) {
        take(file, file.filename().string());
    }
    std::vector<Size> all;
    all.reserve(found.size());
    for (const auto& [identity, size] : found) {
        all.push_back(size);
    }
    return all;
}

std::uint64_t CacheFiles::other_bytes() const
{
    Size size;
    for (const auto& path : list(own_)) {
        add(size, path);
    }
    for (const auto& path : list(place_.private_dir)) {
        add(size, path);
    }
    return size.bytes;
}

} // namespace sluice::daemon
