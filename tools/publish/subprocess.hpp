// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

#include <string>
#include <vector>

namespace sluice::tools {

/// Runs a program to its end, without a shell: `argv[0]` is looked for in $PATH; `environment` ("NAME=value") is added
/// to ours. Its standard input and output are /dev/null; the end of what it writes to standard error is part of the
/// error when its exit status is not 0. Destroying the task kills it. NotFound when there is no such program.
[[nodiscard]] Task<Result<void>>
run_program(EventLoop& loop, std::vector<std::string> argv, std::vector<std::string> environment);

} // namespace sluice::tools
