// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sluice::tools {

namespace {

constexpr std::size_t kDefaultWidth = 80;
constexpr milliseconds kRedraw{100};
constexpr std::size_t kBarWidth = 30;
constexpr std::string_view kToLineStart = "\r\x1b[K";

std::size_t terminal_width(int fd) noexcept
{
    winsize size{};
    return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kDefaultWidth;
}

} // namespace

std::string render_progress(std::string_view label, std::uint64_t done, std::uint64_t total, std::size_t width)
{
    if (total == 0) {
        return fmt::format("{} ...", label).substr(0, width);
    }
    done = std::min(done, total);
    const double share = static_cast<double>(done) / static_cast<double>(total);
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(kBarWidth));
    std::array<char, kBarWidth> bar{};
    std::fill(bar.begin(), bar.end(), '.');
    std::fill_n(bar.begin(), filled, '#');
    std::string line = fmt::format(
        "{} [{}] {:3}%  {} of {}",
        label,
        std::string_view{bar.data(), bar.size()},
        static_cast<unsigned>(share * 100.0),
        format_size(done),
        format_size(total)
    );
    if (line.size() > width) {
        line.resize(width);
    }
    return line;
}

ProgressLine::ProgressLine(int fd) : fd_{fd}, terminal_{::isatty(fd) == 1} {}

void ProgressLine::show(std::string_view label, std::uint64_t done, std::uint64_t total)
{
    const auto now = SteadyClock::now();
    const bool at_end = total != 0 && done >= total;
    if (!terminal_ || (shown_ && !at_end && now - drawn_ < kRedraw)) {
        return;
    }
    drawn_ = now;
    // One column less than there are: a full line would wrap on some terminals.
    write(fmt::format("{}{}", kToLineStart, render_progress(label, done, total, terminal_width(fd_) - 1)));
    shown_ = true;
}

void ProgressLine::clear()
{
    if (shown_) {
        write(kToLineStart);
        shown_ = false;
    }
}

void ProgressLine::write(std::string_view text) const noexcept
{
    const auto written = ::write(fd_, text.data(), text.size());
    (void)written; // decoration: what does not get through is drawn again soon
}

} // namespace sluice::tools
