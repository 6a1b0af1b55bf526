// SPDX-License-Identifier: Apache-2.0
//
// How a backing file leaves the cache. These block for the disk, and belong on a thread of their own.
#pragma once

#include "base/result.hpp"

#include <filesystem>
#include <string_view>

namespace sluice::protocol {

class KernelIo;

/// Where no kernel with cachefiles is bound to the cache. Who has the file open keeps it. Not there: no error.
[[nodiscard]] Result<void> remove_file(const std::filesystem::path& file);

/// Has the kernel that is bound to the cache by `device` do it. kTransient with code() EBUSY when a mount uses the
/// file, or is about to: it stays. kUnsupported where has_harmless_cull() says no. Not there: no error. The kernel
/// looks for the file in the calling thread's working directory, so the first call gives the thread one of its own: the
/// threads that call this do nothing else, and no other thread's directory ever changes.
[[nodiscard]] Result<void> cull_file(KernelIo& io, int device, const std::filesystem::path& file);

/// By uname(2)'s release: 6.19 before 6.19.14 loses count of directory entries with each cull (CVE-2026-43106).
[[nodiscard]] bool has_harmless_cull(std::string_view release) noexcept;

} // namespace sluice::protocol
