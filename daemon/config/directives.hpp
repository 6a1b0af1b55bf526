// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/config/config.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::daemon {

/// One directive of sluiced.conf. The table of them is the only list there is: the parser, the
/// printer, the packaged default file's test and the manual page's test all read it.
struct Directive {
    std::string_view name;
    std::string_view arguments; ///< as in the manual: "PATH", "N%", empty for a flag
    std::string_view allowed;   ///< ends the sentence "… is not allowed: expected …"; empty for a flag
    bool repeatable;

    /// Takes what stands behind the name, blanks around it removed (never empty unless a flag).
    /// False: not allowed.
    bool (*set)(Config& config, std::string_view value);

    /// The values to print, one a line; none when not set.
    std::vector<std::string> (*get)(const Config& config);

    [[nodiscard]] bool is_flag() const noexcept { return arguments.empty(); }
};

/// All of them, in the order of the manual.
[[nodiscard]] std::span<const Directive> directives() noexcept;

[[nodiscard]] const Directive* find_directive(std::string_view name) noexcept;

/// The known name that `name` was probably meant to be, or an empty view.
[[nodiscard]] std::string_view similar_directive(std::string_view name);

} // namespace sluice::daemon
