// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <string>
#include <vector>

namespace sluice::tools {

/// mount(8)'s way of calling a helper: `mount.sluice SPEC DIR [-sfnv] [-N namespace] [-o options] [-t type.subtype]`.
struct HelperArguments {
    std::string spec;
    std::string dir;
    std::string options;         ///< all of -o, joined by commas
    std::string mount_namespace; ///< a path; empty: this one
    bool sloppy = false;         ///< skip options that are not known
    bool fake = false;
    bool verbose = false;
    bool help = false;
    bool version = false;
};

/// Pure. `arguments` without the program's name; switches may stand anywhere and be bundled.
[[nodiscard]] Result<HelperArguments> parse_helper_arguments(const std::vector<std::string>& arguments);

} // namespace sluice::tools
