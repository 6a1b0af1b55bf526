// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "trust/secret.hpp"

#include <string>

namespace sluice::tools {

/// The first line of a file that nobody else may read. Invalid when it is empty.
[[nodiscard]] Result<trust::Secret> read_passphrase(const std::string& file);

/// Asks whoever sits at the terminal, which shows nothing of the answer. Denied, naming the option that does without,
/// when there is no terminal; Cancelled after Ctrl-C or Ctrl-D. Blocks; no signal comes from the terminal meanwhile.
/// `terminal`: for tests.
[[nodiscard]] Result<trust::Secret> ask_passphrase(const std::string& key_name, const char* terminal = "/dev/tty");

/// From now on no core dump of this process is written, and no other process of this user can look into it.
void forbid_core_dumps() noexcept;

} // namespace sluice::tools
