// SPDX-License-Identifier: Apache-2.0
// What check_man_options.py holds against the manual: sluiced's directives, one a line with their arguments; with
// --help the text that sluiced prints.
#include "daemon/config/directives.hpp"
#include "daemon/options.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <string_view>

int main(int argc, char** argv)
{
    using namespace sluice::daemon;
    if (argc > 1 && std::string_view{argv[1]} == "--help") {
        fmt::print("{}", help_text());
    } else {
        for (const auto& directive : directives()) {
            fmt::print("{}\t{}\n", directive.name, directive.arguments);
        }
    }
    return std::fflush(stdout) == 0 ? 0 : 1;
}
