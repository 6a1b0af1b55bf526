// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"

#include <filesystem>
#include <string>

namespace sluice::trust {

using Secret = sluice::Secret;

/// A file for one user's eyes only: Denied, with what to do, when it is ours and others can read it, as ssh has it;
/// what is no regular file (a pipe) is not asked for its mode. `what` calls it in texts ("key release.pem"). At most 64
/// KiB.
[[nodiscard]] Result<Secret> read_secret_file(const std::filesystem::path& file, const std::string& what);

} // namespace sluice::trust
