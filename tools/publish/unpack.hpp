// SPDX-License-Identifier: Apache-2.0
//
// What is done to a directory tree before mkfs.erofs 1.5 sees it: that version neither reads tar files nor knows their
// whiteouts. All of it blocks: for workers.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <filesystem>

namespace sluice::tools {

/// Turns the whiteout files of a layer's tar (".wh.NAME", ".wh..wh..opq") into what overlayfs reads in a lower layer:
/// character devices 0/0 and the attribute trusted.overlay.opaque. Times of the directories stay. Says how many there
/// were.
[[nodiscard]] Result<std::uint64_t> convert_whiteouts(const std::filesystem::path& root);

/// Directories that the tar did not mention have the time of the unpacking, `started` (of the root's creation, in
/// nanoseconds) or later: they get that of their newest entry, or the same tar would make another image each time.
[[nodiscard]] Result<void> settle_directory_times(const std::filesystem::path& root, std::int64_t started);

/// The last modification in the tree, in whole seconds, rounded up; not negative.
[[nodiscard]] Result<std::int64_t> newest_change(const std::filesystem::path& root);

/// A file's time of modification in nanoseconds; symbolic links are not followed.
[[nodiscard]] Result<std::int64_t> modified_at(const std::filesystem::path& file);

} // namespace sluice::tools
