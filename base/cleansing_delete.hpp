// SPDX-License-Identifier: Apache-2.0
//
// Programs that link base/ have an operator delete that overwrites what it frees, up to 64 KiB a block: passwords and
// tokens go through strings, JSON, headers and coroutine frames, and none of their copies may outlive its owner. Larger
// blocks are data; who reads secrets into such a one holds them in a Secret. The same for C libraries that can be told
// what to free with:
#pragma once

#include <cstddef>

namespace sluice {

/// As free(3).
void cleansing_free(void* block) noexcept;

/// As realloc(3).
[[nodiscard]] void* cleansing_realloc(void* block, std::size_t size) noexcept;

} // namespace sluice
