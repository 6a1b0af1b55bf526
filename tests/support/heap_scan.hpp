// SPDX-License-Identifier: Apache-2.0
//
// What is left in memory. Texts that are looked for are written masked, so that a test does not find its own copy.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace sluice::test {

inline constexpr char kMask = 0x15;

[[nodiscard]] inline std::string unmask(std::string_view masked)
{
    std::string text;
    text.reserve(masked.size());
    for (const char c : masked) {
        text.push_back(static_cast<char>(c ^ kMask));
    }
    return text;
}

/// Whether the main thread's heap holds what `masked` masks, be it in use or freed.
[[nodiscard]] inline bool heap_holds(std::string_view masked)
{
    std::ifstream maps{"/proc/self/maps"};
    for (std::string line; std::getline(maps, line);) {
        if (!line.ends_with("[heap]")) {
            continue;
        }
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        char dash = 0;
        std::istringstream{line} >> std::hex >> begin >> dash >> end;
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel's word for where it is
        const std::string_view heap{reinterpret_cast<const char*>(begin), end - begin};
        for (std::size_t at = 0; at + masked.size() <= heap.size(); ++at) {
            std::size_t same = 0;
            while (same < masked.size() && static_cast<char>(heap[at + same] ^ kMask) == masked[same]) {
                ++same;
            }
            if (same == masked.size()) {
                return true;
            }
        }
    }
    return false;
}

} // namespace sluice::test
