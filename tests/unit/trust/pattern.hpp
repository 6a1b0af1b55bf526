// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace sluice::trust {

/// The data that the known answers are for: byte i is 7·i + (i>>12), modulo 256.
[[nodiscard]] inline std::vector<std::byte> pattern(std::size_t size)
{
    std::vector<std::byte> data(size);
    for (std::size_t i = 0; i < size; ++i) {
        data[i] = static_cast<std::byte>((7 * i + (i >> 12)) & 0xff);
    }
    return data;
}

} // namespace sluice::trust
