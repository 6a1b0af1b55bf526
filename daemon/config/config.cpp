// SPDX-License-Identifier: Apache-2.0
// Parsing goes on after an error, so that an operator sees all of them at once. The syntax is
// cachefilesd's: one directive a line, '#' comments out a whole line, no quoting and no escapes; a
// value is the rest of the line.
#include "daemon/config/config.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "daemon/config/directives.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <sched.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace sluice::daemon {

namespace {

constexpr std::size_t kMaxLine = 4095; // cachefilesd's: what fits a page
constexpr std::size_t kMaxErrors = 50;

bool is_control(char c) noexcept
{
    const auto byte = static_cast<unsigned char>(c);
    return (byte < ' ' && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
}

class Parser {
public:
    explicit Parser(std::string_view name) : name_{name} {}

    ConfigResult parse(std::string_view text)
    {
        for (const auto line : split(text, '\n')) {
            ++line_;
            parse_line(line);
        }
        check_limits("b", config_.blocks);
        check_limits("f", config_.files);
        check_sizes();
        check_places();
        if (errors_.empty()) {
            return std::move(config_);
        }
        return tl::unexpected{std::move(errors_)};
    }

private:
    void parse_line(std::string_view raw)
    {
        const auto line = trim(raw);
        if (line.empty() || line.front() == '#') {
            return;
        }
        if (line.size() > kMaxLine) {
            complain(line_, fmt::format("the line is longer than {} bytes", kMaxLine));
            return;
        }
        const auto gap = std::min(line.find_first_of(" \t"), line.size());
        const auto name = line.substr(0, gap);
        const auto* directive = find_directive(name);
        if (directive == nullptr) {
            complain_unknown(name);
            return;
        }
        const auto [first, fresh] = seen_.try_emplace(directive->name, line_);
        if (!fresh && !directive->repeatable) {
            complain(line_, fmt::format("{}: given twice, first in line {}; once is allowed", name, first->second));
            return;
        }
        apply(*directive, trim(line.substr(gap)));
    }

    void apply(const Directive& directive, std::string_view value)
    {
        if (directive.is_flag() && !value.empty()) {
            complain(
                line_, fmt::format("{}: '{}' is not allowed: takes no argument", directive.name, printable(value))
            );
        } else if (!directive.is_flag() && value.empty()) {
            complain(line_, fmt::format("{}: lacks its argument: expected {}", directive.name, directive.allowed));
        } else if (!directive.set(config_, value)) {
            complain(
                line_,
                fmt::format("{}: '{}' is not allowed: expected {}", directive.name, printable(value), directive.allowed)
            );
            refused_.push_back(directive.name);
        }
    }

    void complain_unknown(std::string_view name)
    {
        const auto meant = similar_directive(name);
        complain(
            line_,
            fmt::format(
                "unknown directive '{}'; {}",
                printable(name, 60),
                meant.empty() ? std::string{"see sluiced.conf(5) for those there are"}
                              : fmt::format("did you mean '{}'?", meant)
            )
        );
    }

    /// stop < cull < run, each of which may stand in any line or be the default.
    void check_limits(std::string_view prefix, const CullLimits& limits)
    {
        const auto run = fmt::format("{}run", prefix);
        const auto cull = fmt::format("{}cull", prefix);
        const auto stop = fmt::format("{}stop", prefix);
        check_above(run, limits.run, cull, limits.cull, "%");
        check_above(cull, limits.cull, stop, limits.stop, "%");
    }

    void check_above(
        std::string_view upper,
        unsigned upper_value,
        std::string_view lower,
        unsigned lower_value,
        std::string_view unit
    )
    {
        if (upper_value <= lower_value && !refused(upper) && !refused(lower)) {
            complain(
                later_line(upper, lower),
                fmt::format(
                    "{}: {}{}{} must be above {} {}{}{}",
                    upper,
                    upper_value,
                    unit,
                    origin(upper),
                    lower,
                    lower_value,
                    unit,
                    origin(lower)
                )
            );
        }
    }

    void check_sizes()
    {
        check_not_below("max-request", config_.max_request, "random-window", config_.random_window);
        check_not_below("memory-budget", config_.memory_budget, "max-request", config_.max_request);
    }

    void check_not_below(
        std::string_view upper, std::uint64_t upper_value, std::string_view lower, std::uint64_t lower_value
    )
    {
        if (upper_value < lower_value && !refused(upper) && !refused(lower)) {
            complain(
                later_line(upper, lower),
                fmt::format(
                    "{}: {}{} must not be below {} {}{}",
                    upper,
                    format_size(upper_value),
                    origin(upper),
                    lower,
                    format_size(lower_value),
                    origin(lower)
                )
            );
        }
    }

    /// Directories and sockets that would clear each other away.
    void check_places()
    {
        const std::filesystem::path library =
            config_.library_socket.value_or(config_.control_socket.parent_path() / "blobs.sock");
        check_differ("library-socket", library, "control-socket", config_.control_socket);
        check_differ("layers-dir", config_.layers_dir, "dir", config_.dir);
        check_differ("blobs-dir", config_.blobs_dir, "dir", config_.dir);
        check_differ("blobs-dir", config_.blobs_dir, "layers-dir", config_.layers_dir);
        for (const auto& [name, path] :
             {std::pair{"dir", &config_.dir},
              std::pair{"layers-dir", &config_.layers_dir},
              std::pair{"blobs-dir", &config_.blobs_dir}}) {
            if (tidy(*path).empty()) {
                complain(later_line(name, name), fmt::format("{}: the root directory is not allowed", name));
            }
        }
    }

    /// Without slashes that say nothing; empty for the root.
    static std::string tidy(const std::filesystem::path& path)
    {
        std::string text;
        for (const auto part : split(path.native(), '/')) {
            text += part.empty() ? "" : "/" + std::string{part};
        }
        return text;
    }

    void check_differ(
        std::string_view name,
        const std::filesystem::path& path,
        std::string_view other,
        const std::filesystem::path& other_path
    )
    {
        if (tidy(path) == tidy(other_path) && !refused(name) && !refused(other)) {
            complain(
                later_line(name, other),
                fmt::format(
                    "{}: {}{} must not be {}{}", name, printable(path.native()), origin(name), other, origin(other)
                )
            );
        }
    }

    [[nodiscard]] bool refused(std::string_view name) const
    {
        return std::ranges::find(refused_, name) != refused_.end();
    }

    /// What to blame: one of the two was given, or their defaults would contradict each other.
    [[nodiscard]] std::size_t later_line(std::string_view a, std::string_view b) const
    {
        const auto line = [this](std::string_view name) {
            const auto found = seen_.find(name);
            return found == seen_.end() ? 0U : found->second;
        };
        return std::max(line(a), line(b));
    }

    [[nodiscard]] std::string_view origin(std::string_view name) const
    {
        return seen_.contains(name) ? "" : " (the default)";
    }

    void complain(std::size_t line, std::string_view text)
    {
        if (errors_.size() < kMaxErrors) {
            errors_.push_back(fmt::format("{}:{}: {}", name_, line, text));
            return;
        }
        if (errors_.size() == kMaxErrors) {
            errors_.emplace_back();
        }
        errors_.back() = fmt::format("{}: and {} more errors", name_, ++unlisted_);
    }

    std::string_view name_;
    Config config_;
    ConfigErrors errors_;
    std::size_t unlisted_ = 0;
    std::size_t line_ = 0;
    std::map<std::string_view, std::size_t> seen_; // directive to the line where it stood first
    std::vector<std::string_view> refused_;
};

ConfigResult refuse(std::string text)
{
    return tl::unexpected{ConfigErrors{std::move(text)}};
}

} // namespace

unsigned default_workers() noexcept
{
    cpu_set_t set;
    CPU_ZERO(&set);
    const auto processors = ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set))
                                                                          : std::thread::hardware_concurrency();
    return std::clamp(processors, 2U, 4U);
}

ConfigResult parse_config(std::string_view text, std::string_view name)
{
    if (text.size() > kMaxConfigBytes) {
        return refuse(fmt::format("{}: larger than {}: not a configuration file", name, format_size(kMaxConfigBytes)));
    }
    const auto odd = std::ranges::find_if(text, is_control);
    if (odd != text.end()) {
        const auto line = 1 + std::count(text.begin(), odd, '\n');
        return refuse(fmt::format(
            "{}:{}: not a text file: it holds a byte \\x{:02x}", name, line, static_cast<unsigned char>(*odd)
        ));
    }
    return Parser{name}.parse(text);
}

ConfigResult load_config(const std::filesystem::path& file)
{
    const auto name = printable(file.native(), PATH_MAX);
    const UniqueFd fd{kAdoptFd, ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (!fd) {
        return refuse(Error::from_errno(errno, name).text());
    }
    std::string text(kMaxConfigBytes + 1, '\0');
    std::size_t filled = 0;
    while (filled < text.size()) {
        const auto got = ::read(fd.get(), text.data() + filled, text.size() - filled);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return refuse(Error::from_errno(errno, name).text());
        }
        if (got == 0) {
            break;
        }
        filled += static_cast<std::size_t>(got);
    }
    text.resize(filled);
    return parse_config(text, name);
}

std::string print_config(const Config& config)
{
    std::string text;
    for (const auto& directive : directives()) {
        const auto values = directive.get(config);
        if (values.empty()) {
            text += fmt::format("# {}{}{}\n", directive.name, directive.is_flag() ? "" : " ", directive.arguments);
        }
        for (const auto& value : values) {
            text += fmt::format("{}{}{}\n", directive.name, value.empty() ? "" : " ", value);
        }
    }
    return text;
}

} // namespace sluice::daemon
