// SPDX-License-Identifier: Apache-2.0
//
// Name servers that may fall silent. A program that links this has its getaddrinfo() in the C library's place; one name
// is the loopback address there, as long as it is answered at all.
#pragma once

#include <string_view>

namespace sluice::test {

inline constexpr std::string_view kRegistryName = "registry.test";

/// While it lives, nobody who asks for kRegistryName is answered. Destroying it lets all go who ask, and waits until
/// they have gone.
class SilentNames {
public:
    SilentNames();
    SilentNames(const SilentNames&) = delete;
    SilentNames& operator=(const SilentNames&) = delete;
    ~SilentNames();

    /// How many have asked.
    [[nodiscard]] static unsigned asked();
};

} // namespace sluice::test
