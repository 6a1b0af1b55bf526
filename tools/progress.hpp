// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::tools {

/// "label [######......]  45%  12 MiB of 30 MiB", at most `width` columns; without a total "label ...". Pure.
[[nodiscard]] std::string
render_progress(std::string_view label, std::uint64_t done, std::uint64_t total, std::size_t width);

/// One line on a terminal that is drawn over and over; nothing at all where `fd` is no terminal.
/// The line is taken away at the end.
class ProgressLine {
public:
    explicit ProgressLine(int fd);
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    ~ProgressLine() { clear(); }

    /// Draws ten times a second at most; the end of a phase is always drawn.
    void show(std::string_view label, std::uint64_t done, std::uint64_t total);
    void clear();

    [[nodiscard]] bool on_terminal() const noexcept { return terminal_; }

private:
    void write(std::string_view text) const noexcept;

    int fd_;
    bool terminal_;
    bool shown_ = false;
    TimePoint drawn_{};
};

} // namespace sluice::tools
