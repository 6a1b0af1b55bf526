// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <fmt/format.h>
#include <string_view>

namespace sluice::log {

enum class Level : std::uint8_t { kError = 3, kWarning = 4, kNotice = 5, kInfo = 6, kDebug = 7 }; // as in syslog(3)

/// Lines above this level are dropped. Thread-safe. Default kInfo.
void set_level(Level level) noexcept;
[[nodiscard]] bool enabled(Level level) noexcept;

/// One line, `text` being free of newlines; to stderr, with systemd's "<N>" prefix when stderr is the journal,
/// with "sluiced: " otherwise (see set_program_name). Thread-safe; never throws, never fails.
void write(Level level, std::string_view text) noexcept;
void set_program_name(std::string_view name);

/// From now on to syslog(3), for a daemon whose stderr nobody reads.
void use_syslog() noexcept;

template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args)
{
    write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args)
{
    write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void notice(fmt::format_string<Args...> format, Args&&... args)
{
    write(Level::kNotice, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args)
{
    write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}

/// The arguments are formatted only when debug lines are wanted.
template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args)
{
    if (enabled(Level::kDebug)) {
        write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
    }
}

} // namespace sluice::log
