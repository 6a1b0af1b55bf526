// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "protocol/file_handle.hpp"
#include "protocol/prepopulate.hpp"

#include <memory>

namespace sluice::protocol {

/// Opens the file that cachefiles would have for the blob, for front ends that fill it without cachefiles; makes an
/// empty one, all hole, where there is none. It has its attribute and is on disk before it has its name, so that a
/// kernel with cachefiles accepts it later, and one that cachefiles has left is taken up with all that is in it.
/// A file with another size, or without a valid attribute, is thrown away and made anew.
///
/// Several may have one file open, cachefiles too: what anybody writes is proved, so the bytes are the same.
/// Blocks for the disk: runs on a worker. Thread-safe.
[[nodiscard]] Result<std::shared_ptr<FileHandle>> open_backing_file(const Prepopulation::Target& blob);

} // namespace sluice::protocol
