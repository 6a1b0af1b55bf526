// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "daemon/blob/blob_filler.hpp"

#include <cstdint>

namespace sluice::daemon {

/// Brings in everything that is missing of a blob of `size` bytes, `piece` bytes at a time and several at once, behind
/// all that readers want. Ends with the first failure. `filler` outlives the task.
[[nodiscard]] Task<Result<void>> fill_all(EventLoop& loop, BlobFiller& filler, std::uint64_t size, std::uint64_t piece);

} // namespace sluice::daemon
