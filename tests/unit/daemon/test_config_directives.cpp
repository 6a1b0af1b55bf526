// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/directives.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <string>

namespace sluice::daemon {
namespace {

struct Samples {
    std::vector<std::string> good;
    std::vector<std::string> bad;
};

const Samples kPaths{{"/a", "/a b", "/", "/x/..y/.z"}, {"a", "./a", "/a/../b", "/a/.", "~/a"}};
const Samples kPercents{{"99%"}, {"100%", "7", "-1%", "7%%", "7 %", "%", "1.5%", "99999999999999999999%"}};
const Samples kDurations{{"100ms", "2s", "10m", "1500ms"}, {"0", "99ms", "11m", "5 s", "-5s", "fast", "1d"}};

/// What each directive takes and what it refuses. A directive without a row here fails the test below.
const std::map<std::string_view, Samples> kSamples{
    {"dir", kPaths},
    {"tag", {{"x", "my-cache", std::string(255, 't')}, {"a b", "a/b", "\xc3\xa4", std::string(256, 't')}}},
    {"brun", kPercents},
    {"bcull", kPercents},
    {"bstop", kPercents},
    {"frun", kPercents},
    {"fcull", kPercents},
    {"fstop", kPercents},
    {"secctx", {{"system_u:system_r:cachefiles_kernel_t:s0:c0,c1"}, {"a b", "\xff"}}},
    {"culltable", {{"12", "20"}, {"11", "21", "0x0c", "12 ", "-12", "x"}}},
    {"nocull", {}},
    {"quota", {{"0", "4096", "50G", "1024T"}, {"4097", "1025T", "-1", "50%", ""}}},
    {"resume_thresholds", {{"- -", "5 -", "-\t5", "1M 2"}, {"5", "- - -", "a b", "-", "-5 5"}}},
    {"debug", {{"0", "7", "0x1f", "017", "4294967295"}, {"4294967296", "0x", "8x", "-1", "seven", "09"}}},
    {"trusted-key",
     {{"/a",
       "/a registry.example",
       "/a registry.example:5000/team/app.x\tlocalhost/a_b-c",
       "/a oci:/srv/images docker.io/library"},
      {"a",
       "registry.example",
       "/a team",
       "/a team/app",
       "/a registry.example/",
       "/a registry.example//x",
       "/a registry.example/../x",
       "/a Registry.example",
       "/a registry.example/Team",
       "/a registry.example/app:1",
       "/a oci:srv",
       "/a oci:/srv/",
       "/a *"}}},
    {"require-signed-name", {}},
    {"registry-ca", kPaths},
    {"registry-insecure",
     {{"localhost", "h:1", "10.0.0.1:5000", "[::1]:5000", "[2001:db8::1]", "a-b.example:65535"},
      {"http://h", "h:0", "h:65536", "h:", ":5000", "a b", "h/x", "-h", "a..b", "::1", "[]", "[zz::1]", "user@h"}}},
    {"registry-private-networks", {}},
    {"registry-credentials", kPaths},
    {"control-socket", {{"/run/x.sock", "/" + std::string(106, 's')}, {"x.sock", "/" + std::string(107, 's')}}},
    {"control-group", {{"sluice", "_x-1"}, {"a:b", "a b", "a,b", std::string(33, 'g')}}},
    {"metrics-address",
     {{"127.0.0.1:9100", "[::1]:9100", "0.0.0.0:1"},
      {"9100", "localhost:9100", "127.0.0.1", "127.0.0.1:0", "::1:9100"}}},
    {"library-socket", {{"/run/x.sock", "/" + std::string(106, 's')}, {"x.sock", "/" + std::string(107, 's')}}},
    {"library-group", {{"sluice", "_x-1"}, {"a:b", "a b", "a,b", std::string(33, 'g')}}},
    {"layers-dir", kPaths},
    {"front-end", {{"auto", "cachefiles", "fuse", "none"}, {"Fuse", "nbd", "auto fuse"}}},
    {"blobs-dir", {{"/run/b", "/" + std::string(180, 'b')}, {"b", "/" + std::string(181, 'b')}}},
    {"domain-id", {{"d", std::string(248, 'd')}, {"a/b", "a,b", "a b", std::string(249, 'd')}}},
    {"read-deadline", kDurations},
    {"connect-timeout", kDurations},
    {"stall-timeout", kDurations},
    {"read-ahead", {{"0", "4K", "1G", "4096"}, {"1", "4097", "2G", "-4K", "4Q", "many"}}},
    {"random-window", {{"4K", "16M"}, {"0", "5000", "17M", "64 K"}}},
    {"max-request", {{"128K", "64M"}, {"64K", "65M", "0"}}},
    {"memory-budget", {{"1M", "16G"}, {"512K", "17G"}}},
    {"connections", {{"1", "64"}, {"0", "65", "two"}}},
    {"workers", {{"1", "64"}, {"0", "65", "auto"}}},
    {"lazy-only", {}},
    {"log-level", {{"error", "warning", "notice", "info", "debug"}, {"Error", "verbose", "7"}}},
};

TEST(Directives, EachTakesWhatItAllowsAndPrintsItSoThatItReadsBack)
{
    for (const auto& directive : directives()) {
        const auto samples = kSamples.find(directive.name);
        ASSERT_NE(samples, kSamples.end()) << "no samples for " << directive.name;
        ASSERT_EQ(samples->second.good.empty(), directive.is_flag()) << directive.name;
        for (const auto& value : directive.is_flag() ? std::vector<std::string>{""} : samples->second.good) {
            Config config;
            ASSERT_TRUE(directive.set(config, value)) << directive.name << ' ' << value;
            const auto printed = directive.get(config);
            ASSERT_EQ(printed.size(), 1U) << directive.name;
            Config again;
            ASSERT_TRUE(directive.set(again, printed.front())) << directive.name << ' ' << printed.front();
            EXPECT_EQ(config, again) << directive.name << ' ' << value;
        }
    }
}

TEST(Directives, EachRefusesWhatItDoesNotAllow)
{
    for (const auto& directive : directives()) {
        for (const auto& value : kSamples.at(directive.name).bad) {
            Config config;
            EXPECT_FALSE(directive.set(config, value)) << directive.name << ' ' << value;
        }
    }
}

TEST(Directives, NamesAreUnique)
{
    std::set<std::string_view> names;
    for (const auto& directive : directives()) {
        EXPECT_TRUE(names.insert(directive.name).second) << directive.name;
        EXPECT_EQ(find_directive(directive.name), &directive);
        EXPECT_EQ(directive.allowed.empty(), directive.is_flag()) << directive.name;
    }
}

TEST(Directives, NearMissesAreRecognised)
{
    EXPECT_EQ(similar_directive("trusted_key"), "trusted-key");
    EXPECT_EQ(similar_directive("bcul"), "bcull");
    EXPECT_EQ(similar_directive("resume-thresholds"), "resume_thresholds");
    EXPECT_EQ(similar_directive("completely-different"), "");
    EXPECT_EQ(similar_directive("x"), "");
    EXPECT_EQ(similar_directive(std::string(5000, 'd')), "");
}

/// Any configuration that can be written down survives being printed and read again.
TEST(Directives, RandomConfigurationsSurviveARoundTrip)
{
    std::mt19937 random{20240229}; // NOLINT(cert-msc32-c,cert-msc51-cpp): the same files each time
    const auto below = [&random](std::size_t bound) { return random() % bound; };
    unsigned accepted = 0;
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (const auto& directive : directives()) {
            for (std::size_t n = below(directive.repeatable ? 4 : 2); n > 0; --n) {
                const auto& good = kSamples.at(directive.name).good;
                text += fmt::format("{}{}{}\n", below(2) != 0 ? " " : "", directive.name, below(2) != 0 ? "\t " : " ");
                if (directive.arguments == "N%") {
                    text.insert(text.size() - 1, fmt::format(" {}%", below(100)));
                } else if (!directive.is_flag()) {
                    text.insert(text.size() - 1, " " + good[below(good.size())]);
                }
            }
        }
        const auto config = parse_config(text, "random");
        if (!config) {
            continue; // limits in a wrong order
        }
        ++accepted;
        const auto again = parse_config(print_config(*config), "printed");
        ASSERT_TRUE(again) << again.error().front();
        ASSERT_EQ(*config, *again) << text;
    }
    EXPECT_GT(accepted, 50U);
}

} // namespace
} // namespace sluice::daemon
