// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::daemon {

/// The lines of a mount table (the text of /proc/self/mountinfo) that may say who uses a layer below `layers_dir`: the
/// layers themselves, other mounts of EROFS, and what names the directory, such as an overlay's lower directories.
/// Empty when no layer is mounted. Pure.
[[nodiscard]] std::string lines_about_layers(std::string_view mountinfo, std::string_view layers_dir);

/// When to look for layers that nobody uses. Mounting and unmounting come in bursts, so a change of the mount table is
/// looked at when it has settled, yet not later than `longest` after the first one of a burst that does not end.
/// Looking costs a process that reads the mount tables of all namespaces, so it is done when the table says something
/// new about layers; after other changes it is done, too, but rarely, because users in other namespaces are in no table
/// of ours. Without clock and descriptors of its own: tests hand in the time.
class ReaperSchedule {
public:
    struct Pace {
        milliseconds settle{500};
        milliseconds longest{5'000};
        milliseconds rarely{60'000};
    };

    /// What is to be done when the time has come.
    struct Verdict {
        bool look = false;
        std::optional<TimePoint> again; ///< ask for a verdict then, unless something changes before
    };

    ReaperSchedule(std::string layers_dir, Pace pace) : layers_dir_{std::move(layers_dir)}, pace_{pace} {}

    /// The mount table has changed: when to ask for a verdict, in place of the last answer.
    [[nodiscard]] TimePoint change(TimePoint now);

    /// `mountinfo` is the table now.
    [[nodiscard]] Verdict decide(TimePoint now, std::string_view mountinfo);

    /// A look has failed: the next verdict is to look, whatever the table says of layers.
    void forget_last_look() noexcept { last_look_.reset(); }

private:
    std::string layers_dir_;
    Pace pace_;
    std::optional<TimePoint> first_change_; ///< of the burst
    std::optional<TimePoint> last_look_;
    std::string seen_; ///< lines_about_layers() at the last look
};

} // namespace sluice::daemon
