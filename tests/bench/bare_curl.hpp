// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"

#include <functional>
#include <string>

namespace sluice::bench {

/// What our reads are measured against: a plain libcurl handle on this thread, kept open, that gets ranges of `url` and
/// throws the bytes away. No proof, no disk, no queue.
[[nodiscard]] std::function<bool(ByteRange)> bare_curl(const std::string& url);

} // namespace sluice::bench
