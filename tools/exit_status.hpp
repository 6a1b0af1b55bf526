// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"

namespace sluice::tools {

// sluicectl's exit statuses; sluicectl(1) has them.
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitDenied = 3;      ///< asking again changes nothing: signatures, credentials, permissions
inline constexpr int kExitUnavailable = 4; ///< the same command may succeed later

/// What a failure of this kind ends the program with.
[[nodiscard]] constexpr int exit_status(ErrorKind kind) noexcept
{
    switch (kind) {
    case ErrorKind::kDenied:
        return kExitDenied;
    case ErrorKind::kTransient:
    case ErrorKind::kTimeout:
        return kExitUnavailable;
    default:
        return kExitFailure;
    }
}

} // namespace sluice::tools
