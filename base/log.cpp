// SPDX-License-Identifier: Apache-2.0
#include "base/log.hpp"

#include <atomic>
#include <cstdlib>
#include <string>
#include <syslog.h>
#include <unistd.h>

namespace sluice::log {

namespace {

std::atomic<Level> g_level{Level::kInfo};
std::string g_program = "sluiced"; // set once, before any thread is started
std::atomic<bool> g_syslog{false};

bool journal_reads_stderr() noexcept
{
    static const bool kYes = std::getenv("JOURNAL_STREAM") != nullptr; // NOLINT(concurrency-mt-unsafe): nobody sets it
    return kYes;
}

} // namespace

void set_level(Level level) noexcept
{
    g_level = level;
}

void use_syslog() noexcept
{
    ::openlog(nullptr, LOG_PID, LOG_DAEMON); // a null name stands for the program's own
    g_syslog = true;
}

bool enabled(Level level) noexcept
{
    return level <= g_level.load(std::memory_order_relaxed);
}

void set_program_name(std::string_view name)
{
    g_program = name;
}

void write(Level level, std::string_view text) noexcept
{
    if (!enabled(level)) {
        return;
    }
    if (g_syslog) {
        ::syslog(static_cast<int>(level), "%.*s", static_cast<int>(text.size()), text.data());
        return;
    }
    try {
        const auto line = journal_reads_stderr() ? fmt::format("<{}>{}\n", static_cast<int>(level), text)
                                                 : fmt::format("{}: {}\n", g_program, text);
        // One write(2) a line, so that lines of several threads never mix.
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    } catch (...) { // out of memory: the line is lost, the daemon is not
    }
}

} // namespace sluice::log
