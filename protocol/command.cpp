// SPDX-License-Identifier: Apache-2.0
#include "protocol/command.hpp"

#include "base/text.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <limits>

namespace sluice::protocol {

namespace {

// What the kernel starts from; which of two orders is safe depends on where the wanted values lie beside these.
constexpr unsigned kKernelCull = 5;
constexpr unsigned kKernelStop = 1;
constexpr int kErrnoMax = 4095;

Result<std::string> text_command(std::string_view word, std::string_view argument)
{
    if (argument.empty()) {
        return fail(ErrorKind::kInvalid, fmt::format("'{}' needs an argument", word));
    }
    if (argument.find('\0') != std::string_view::npos || argument.find('\n') != std::string_view::npos) {
        return fail(
            ErrorKind::kInvalid, fmt::format("'{} {}': no NUL or newline may be in it", word, printable(argument))
        );
    }
    if (trim(argument).size() != argument.size()) {
        return fail(
            ErrorKind::kInvalid, fmt::format("'{} {}': begins or ends with a blank", word, printable(argument))
        );
    }
    auto text = fmt::format("{} {}", word, argument);
    if (text.size() > kCommandMax) {
        return fail(
            ErrorKind::kInvalid, fmt::format("'{}': {} bytes are more than the kernel takes", word, text.size())
        );
    }
    return text;
}

Result<std::string> name_command(std::string_view word, std::string_view name)
{
    if (name.find('/') != std::string_view::npos) {
        return fail(ErrorKind::kInvalid, fmt::format("'{} {}': a name has no slash", word, printable(name)));
    }
    return text_command(word, name);
}

Result<void> check_triple(char prefix, unsigned run, unsigned cull, unsigned stop)
{
    if (stop < cull && cull < run && run < 100) {
        return {};
    }
    return fail(
        ErrorKind::kInvalid,
        fmt::format("limits must be {0}stop < {0}cull < {0}run < 100%: {1}% {2}% {3}%", prefix, stop, cull, run)
    );
}

void add_triple(std::vector<std::string>& out, char prefix, unsigned run, unsigned cull, unsigned stop)
{
    const auto set_run = fmt::format("{}run {}%", prefix, run);
    const auto set_cull = fmt::format("{}cull {}%", prefix, cull);
    const auto set_stop = fmt::format("{}stop {}%", prefix, stop);
    // Going down, the lower bounds have to make room first; going up, the higher ones.
    const bool down = run <= kKernelCull || cull <= kKernelStop;
    out.push_back(down ? set_stop : set_run);
    out.push_back(set_cull);
    out.push_back(down ? set_run : set_stop);
}

} // namespace

Result<void> validate(const CacheLimits& limits)
{
    const auto blocks = check_triple('b', limits.blocks.run, limits.blocks.cull, limits.blocks.stop);
    return blocks ? check_triple('f', limits.files.run, limits.files.cull, limits.files.stop) : blocks;
}

Result<std::vector<std::string>> limit_commands(const CacheLimits& limits)
{
    if (const auto valid = validate(limits); !valid) {
        return fail(valid.error());
    }
    std::vector<std::string> commands;
    add_triple(commands, 'b', limits.blocks.run, limits.blocks.cull, limits.blocks.stop);
    add_triple(commands, 'f', limits.files.run, limits.files.cull, limits.files.stop);
    return commands;
}

Result<std::string> dir_command(std::string_view path)
{
    if (!path.starts_with('/')) {
        return fail(
            ErrorKind::kInvalid, fmt::format("cache directory '{}': must be an absolute path", printable(path))
        );
    }
    return text_command("dir", path);
}

Result<std::string> tag_command(std::string_view tag)
{
    return text_command("tag", tag);
}

Result<std::string> secctx_command(std::string_view context)
{
    return text_command("secctx", context);
}

std::string debug_command(std::uint32_t mask)
{
    return fmt::format("debug {}", mask);
}

std::string bind_ondemand_command()
{
    return "bind ondemand";
}

Result<std::string> copen_command(MessageId message, std::uint64_t size)
{
    if (size > static_cast<std::uint64_t>(std::numeric_limits<long>::max())) {
        return fail(ErrorKind::kInvalid, fmt::format("an object of {} bytes", size), EFBIG);
    }
    // No padding: the kernel takes a leading zero for octal.
    return fmt::format("copen {},{}", message.value, size);
}

std::string copen_error_command(MessageId message, int code)
{
    return fmt::format("copen {},{}", message.value, -(code >= 1 && code <= kErrnoMax ? code : EIO));
}

std::string restore_command()
{
    return "restore";
}

Result<std::string> cull_command(std::string_view name)
{
    return name_command("cull", name);
}

Result<std::string> inuse_command(std::string_view name)
{
    return name_command("inuse", name);
}

} // namespace sluice::protocol
