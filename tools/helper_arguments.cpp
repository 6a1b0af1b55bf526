// SPDX-License-Identifier: Apache-2.0
#include "tools/helper_arguments.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <string_view>

namespace sluice::tools {

namespace {

class Parser {
public:
    explicit Parser(const std::vector<std::string>& arguments) : arguments_{arguments} {}

    Result<HelperArguments> parse()
    {
        while (at_ < arguments_.size()) {
            const std::string& argument = arguments_[at_++];
            if (take_long(argument)) {
                continue;
            }
            if (argument.size() > 1 && argument.front() == '-') {
                if (auto taken = take_switches(argument); !taken) {
                    return fail(taken.error());
                }
            } else if (auto taken = take_operand(argument); !taken) {
                return fail(taken.error());
            }
        }
        if (!out_.help && !out_.version && out_.dir.empty()) {
            return fail(ErrorKind::kInvalid, "an image reference and a directory are needed");
        }
        return std::move(out_);
    }

private:
    bool take_long(const std::string& argument)
    {
        const std::map<std::string_view, bool*> switches{
            {"--help", &out_.help},
            {"--version", &out_.version},
            {"--fake", &out_.fake},
            {"--verbose", &out_.verbose},
            {"--no-mtab", &no_mtab_},
        };
        const auto found = switches.find(argument);
        if (found != switches.end()) {
            *found->second = true;
        }
        return found != switches.end();
    }

    Result<void> take_operand(const std::string& argument)
    {
        std::string& slot = out_.spec.empty() ? out_.spec : out_.dir;
        if (!slot.empty() || argument.empty()) {
            return fail(ErrorKind::kInvalid, fmt::format("unexpected argument '{}'", printable(argument)));
        }
        slot = argument;
        return {};
    }

    Result<void> take_switches(const std::string& argument)
    {
        for (std::size_t i = 1; i < argument.size(); ++i) {
            switch (argument[i]) {
            case 's':
                out_.sloppy = true;
                break;
            case 'f':
                out_.fake = true;
                break;
            case 'v':
                out_.verbose = true;
                break;
            case 'h':
                out_.help = true;
                break;
            case 'V':
                out_.version = true;
                break;
            case 'n':
            case 'r':
            case 'w':
                break;
            case 'o':
            case 'N':
            case 't':
                return take_value(argument[i], argument.substr(i + 1));
            default:
                return fail(ErrorKind::kInvalid, fmt::format("unknown option -{}", printable({&argument[i], 1})));
            }
        }
        return {};
    }

    /// The value stands right behind its letter, or is the next argument.
    Result<void> take_value(char letter, std::string value)
    {
        if (value.empty()) {
            if (at_ == arguments_.size()) {
                return fail(ErrorKind::kInvalid, fmt::format("option -{} needs a value", letter));
            }
            value = arguments_[at_++];
        }
        if (letter == 'o') {
            add_options(value);
        } else if (letter == 'N') {
            const bool is_pid = std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
            out_.mount_namespace = is_pid ? fmt::format("/proc/{}/ns/mnt", value) : std::move(value);
        }
        return {}; // the type is ours, or mount(8) would not have called
    }

    void add_options(const std::string& more) { out_.options += (out_.options.empty() ? "" : ",") + more; }

    const std::vector<std::string>& arguments_;
    std::size_t at_ = 0;
    bool no_mtab_ = false; // there is none to be left alone
    HelperArguments out_;
};

} // namespace

Result<HelperArguments> parse_helper_arguments(const std::vector<std::string>& arguments)
{
    return Parser{arguments}.parse();
}

} // namespace sluice::tools
