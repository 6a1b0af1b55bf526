// SPDX-License-Identifier: Apache-2.0
//
// Where cachefiles keeps a blob on disk, computed as the kernel does: <dir>/cache/I<volume>/@<xx>/<cooked cookie>.
// The format is the same in all kernels from 5.17 on. Pure functions.
#pragma once

#include "base/result.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::protocol {

inline constexpr std::size_t kCookieKeyMax = 252; ///< bytes; the kernel's cachefiles BUG()s on 253 to 255
inline constexpr std::size_t kVolumeKeyMax = 254; ///< bytes; with its prefix it is a file name
inline constexpr const char* kCacheXattr = "user.CacheFiles.cache";

/// "erofs,<domain>", or "erofs,<fsid>" for a mount outside of any domain; that name must be checked before.
[[nodiscard]] std::string erofs_volume_key(std::string_view domain_or_fsid);

/// What may be given to a mount as the name of a blob (fsid within a domain, device). Checked before any mount, because
/// the kernel oopses on some of what this refuses.
[[nodiscard]] Result<void> validate_cookie_key(std::string_view key);

/// What may be given as domain_id, or as fsid without a domain.
[[nodiscard]] Result<void> validate_domain(std::string_view domain);

[[nodiscard]] std::uint32_t volume_hash(std::string_view volume);
[[nodiscard]] std::uint32_t cookie_hash(std::uint32_t volume_hash, std::string_view cookie);

/// "@00" to "@ff"
[[nodiscard]] std::string fan_directory(std::string_view volume, std::string_view cookie);

/// The file name that `cookie` gets: as it is behind a D where it is printable, else in hex words (S, T) or base 64
/// (E).
[[nodiscard]] std::string cook_key(std::string_view cookie);

/// "I<volume>"
[[nodiscard]] std::string volume_directory(std::string_view volume);

/// Below the cache directory: "cache/I<volume>/@xx/<cooked>".
[[nodiscard]] std::filesystem::path cookie_path(std::string_view volume, std::string_view cookie);

using FileXattr = std::array<std::byte, 18>;
using VolumeXattr = std::array<std::byte, 4>;

/// The attribute of a committed file whose blob has `size` bytes.
[[nodiscard]] FileXattr encode_file_xattr(std::uint64_t size) noexcept;

/// The size of the blob, where the attribute is one that the kernel will accept; nothing otherwise.
[[nodiscard]] std::optional<std::uint64_t> check_file_xattr(std::span<const std::byte> value) noexcept;

[[nodiscard]] VolumeXattr encode_volume_xattr() noexcept;
[[nodiscard]] bool check_volume_xattr(std::span<const std::byte> value) noexcept;

} // namespace sluice::protocol
