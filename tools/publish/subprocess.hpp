// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

/// What a program has said on standard error, for one line of ours: without its usage, its name in front of each line,
/// and marks such as "<E> erofs:"; of a long tale the first lines and the last. Pure.
[[nodiscard]] std::string summarise_errors(std::string_view text, std::string_view program);

/// Runs a program to its end, without a shell: `argv[0]` is looked for in $PATH; `environment` ("NAME=value") is added
/// to ours. Its standard input and output are /dev/null; what it writes to standard error is part of the
/// error, shortened, when its exit status is not 0. Destroying the task kills it. NotFound when there is no such
/// program.
[[nodiscard]] Task<Result<void>>
run_program(EventLoop& loop, std::vector<std::string> argv, std::vector<std::string> environment);

} // namespace sluice::tools
