// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "protocol/command.hpp"

#include <cerrno>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <string>

namespace sluice::protocol {
namespace {

/// The kernel's check: each limit against the present values of its neighbours.
class LimitModel {
public:
    bool take(const std::string& command)
    {
        const auto parts = split(command, ' ');
        if (parts.size() != 2 || !parts[1].ends_with('%')) {
            return false;
        }
        const auto value = parse_u64(parts[1].substr(0, parts[1].size() - 1));
        const char kind = command[0];
        const auto what = parts[0].substr(1);
        auto& [run, cull, stop] = values_.at(kind);
        if (what == "run" && *value > cull && *value < 100) {
            run = *value;
        } else if (what == "cull" && *value > stop && *value < run) {
            cull = *value;
        } else if (what == "stop" && *value < cull) {
            stop = *value;
        } else {
            return false;
        }
        return true;
    }

    struct Triple {
        std::uint64_t run = 7;
        std::uint64_t cull = 5;
        std::uint64_t stop = 1;
    };

    std::map<char, Triple> values_{{'b', {}}, {'f', {}}};
};

TEST(Command, EveryValidTripleIsReachedFromTheKernelsDefaults)
{
    std::size_t refused = 0;
    std::size_t wrong = 0;
    for (unsigned run = 0; run < 100; ++run) {
        for (unsigned cull = 0; cull < run; ++cull) {
            for (unsigned stop = 0; stop < cull; ++stop) {
                const auto commands = limit_commands({{run, cull, stop}, {run, cull, stop}});
                ASSERT_TRUE(commands.has_value());
                LimitModel kernel;
                for (const auto& command : *commands) {
                    refused += static_cast<std::size_t>(!kernel.take(command));
                }
                for (const char kind : {'b', 'f'}) {
                    const auto& at = kernel.values_.at(kind);
                    wrong += static_cast<std::size_t>(at.run != run || at.cull != cull || at.stop != stop);
                }
            }
        }
    }
    EXPECT_EQ(refused, 0U);
    EXPECT_EQ(wrong, 0U);
}

TEST(Command, LimitsOutOfOrderAreRefused)
{
    for (const CacheLimits& limits : {
             CacheLimits{{10, 10, 3}, {10, 7, 3}},
             CacheLimits{{10, 7, 7}, {10, 7, 3}},
             CacheLimits{{100, 7, 3}, {10, 7, 3}},
             CacheLimits{{10, 7, 3}, {5, 7, 3}},
             CacheLimits{{10, 7, 3}, {10, 0, 0}},
         }) {
        EXPECT_FALSE(validate(limits).has_value());
        EXPECT_FALSE(limit_commands(limits).has_value());
    }
    EXPECT_TRUE(validate(CacheLimits{}).has_value());
}

TEST(Command, TextsAreAsTheKernelReadsThem)
{
    EXPECT_EQ(dir_command("/var/cache/sluice").value(), "dir /var/cache/sluice");
    EXPECT_EQ(dir_command("/with a blank").value(), "dir /with a blank");
    EXPECT_EQ(tag_command("sluice").value(), "tag sluice");
    EXPECT_EQ(secctx_command("system_u:object_r:cachefiles_t:s0").value(), "secctx system_u:object_r:cachefiles_t:s0");
    EXPECT_EQ(debug_command(7), "debug 7");
    EXPECT_EQ(bind_ondemand_command(), "bind ondemand");
    EXPECT_EQ(restore_command(), "restore");
    EXPECT_EQ(cull_command("Dblob").value(), "cull Dblob");
    EXPECT_EQ(inuse_command("Dblob").value(), "inuse Dblob");
}

TEST(Command, WhatTheKernelWouldMisreadIsRefused)
{
    for (const std::string& bad :
         {std::string{},
          std::string{" a"},
          std::string{"a "},
          std::string{"a\nb"},
          std::string{"a\0b", 3},
          std::string(4096, 'x')}) {
        EXPECT_FALSE(tag_command(bad).has_value()) << printable(bad);
        EXPECT_FALSE(secctx_command(bad).has_value()) << printable(bad);
        EXPECT_FALSE(cull_command(bad).has_value()) << printable(bad);
        EXPECT_FALSE(dir_command("/" + bad + "\n").has_value()) << printable(bad);
    }
    EXPECT_FALSE(dir_command("relative").has_value());
    EXPECT_FALSE(cull_command("a/b").has_value());
    EXPECT_FALSE(inuse_command("/").has_value());
    EXPECT_TRUE(tag_command(std::string(kCommandMax - 4, 'x')).has_value());
    EXPECT_FALSE(tag_command(std::string(kCommandMax - 3, 'x')).has_value());
}

TEST(Command, CopenNeverPadsAndNeverOverflows)
{
    EXPECT_EQ(copen_command(MessageId{8}, 4096).value(), "copen 8,4096");
    EXPECT_EQ(copen_command(MessageId{0}, 0).value(), "copen 0,0");
    const auto most = static_cast<std::uint64_t>(std::numeric_limits<long>::max());
    EXPECT_EQ(copen_command(MessageId{4294967295U}, most).value(), "copen 4294967295,9223372036854775807");
    EXPECT_FALSE(copen_command(MessageId{1}, most + 1).has_value());
}

TEST(Command, CopenErrorsStayWithinWhatTheKernelTakes)
{
    EXPECT_EQ(copen_error_command(MessageId{3}, ENOENT), "copen 3,-2");
    EXPECT_EQ(copen_error_command(MessageId{3}, 4095), "copen 3,-4095");
    for (const int wrong : {0, -2, 4096, std::numeric_limits<int>::max()}) {
        EXPECT_EQ(copen_error_command(MessageId{3}, wrong), "copen 3,-5");
    }
}

} // namespace
} // namespace sluice::protocol
