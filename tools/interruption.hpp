// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace sluice::tools {

/// Ends this process by a signal that it has caught and cleaned up after, so that whoever started it sees the signal
/// and not a failure: a shell's loop ends then, too. Returns an exit status where the signal is ignored.
[[nodiscard]] int end_by_signal(int signal) noexcept;

} // namespace sluice::tools
