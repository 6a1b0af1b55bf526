// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace sluice::tools {

/// What is wrong with `path` as the name of a Unix socket: "is empty", "is longer than …"; empty when nothing is.
[[nodiscard]] std::string socket_path_fault(const std::string& path);

/// Why a stream socket at `path` cannot be connected to: an errno; 0 when it can.
[[nodiscard]] int probe_socket(const std::string& path);

} // namespace sluice::tools
