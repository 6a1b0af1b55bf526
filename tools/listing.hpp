// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"

#include <string>

namespace sluice::tools {

// The daemon's answers as people like to read them: tables, sizes in KiB and MiB. Pure; members that are missing show
// as "-".

[[nodiscard]] std::string format_images(const Json& answer);
[[nodiscard]] std::string format_blobs(const Json& answer);

/// Any object: one "name: value" a line, objects inside indented.
[[nodiscard]] std::string format_status(const Json& answer);

} // namespace sluice::tools
