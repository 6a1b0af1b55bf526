// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <string>
#include <vector>

namespace sluice {

/// A program that works for us and is not us.
struct HelperProgram {
    std::vector<std::string> arguments;   ///< the first is the program, looked up in `environment`'s PATH
    std::vector<std::string> environment; ///< "NAME=value"
    int input = -1;                       ///< its standard input, and so on; below 0: /dev/null
    int output = -1;
    int errors = -1;
    bool keeps_capabilities = false; ///< for one that does a part of our own work
};

/// Starts it with nothing of ours: no capability, and none to be had by what it executes (no_new_privs); the OOM score
/// of an ordinary process; a session of its own; no descriptor but those given; no signal blocked or ignored. Yields
/// its process id, which the caller has to wait for. Errors carry the errno of exec: kNotFound
/// where there is no such program. Any thread.
[[nodiscard]] Result<int> start_helper(const HelperProgram& program);

} // namespace sluice
