// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "fetcher/credentials.hpp"

#include <string>

namespace sluice::fetcher {

/// Runs `docker-credential-<helper> get` with `key` on its input: found by PATH, no shell, an
/// environment of PATH and HOME only, none of our capabilities (start_helper()). A helper that has nothing for `key`
/// makes us anonymous. Destroying the task kills the helper.
[[nodiscard]] Task<Result<Credential>>
ask_credential_helper(EventLoop& loop, std::string helper, std::string key, Deadline deadline);

} // namespace sluice::fetcher
