// SPDX-License-Identifier: Apache-2.0
//
// What a fuzz target says of its subject's results: assert() that is there in every build.
#pragma once

#include <cstdlib>

inline void require(bool holds)
{
    if (!holds) {
        std::abort();
    }
}
