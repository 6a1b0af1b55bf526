// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"

#include <optional>

namespace sluice::daemon {

/// How a daemon under the keeper has ended without having been asked to.
struct Ending {
    bool was_ready = false;
    milliseconds served{0}; ///< since it was ready
    bool killed = false;    ///< with SIGKILL, and not by the keeper
};

/// When the next daemon is started after one has ended: at once, after a pause that grows, or never. Pure.
///
/// What counts as a failure: an end, unless the daemon had served for a second, or was ready and somebody killed it.
/// The failures that count are those in a row.
class RestartPolicy {
public:
    static constexpr unsigned kMostAtStart = 5;   ///< failures while no daemon was ever ready
    static constexpr unsigned kMostLater = 50;    ///< failures afterwards: some ten seconds of them
    static constexpr milliseconds kFirst{20};     ///< the pause after the first failure; it doubles
    static constexpr milliseconds kLongest{250};  ///< and ends here: readers wait
    static constexpr milliseconds kServed{1'000}; ///< what makes a good start

    /// How long to wait before the next start; nothing: give up.
    [[nodiscard]] std::optional<milliseconds> ended(const Ending& ending);

    [[nodiscard]] unsigned failures() const noexcept { return failures_; }

private:
    bool ever_ready_ = false;
    unsigned failures_ = 0;
};

} // namespace sluice::daemon
