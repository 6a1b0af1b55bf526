// SPDX-License-Identifier: Apache-2.0
#include "daemon/check_system.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

using protocol::ProbeResult;
using protocol::ProbeStatus;

std::vector<ProbeResult> good(const std::string& name)
{
    return {{name, ProbeStatus::kOk, "there", {}}};
}

std::vector<ProbeResult> bad(const std::string& name)
{
    return {{name, ProbeStatus::kFailed, name + " is missing", "get it"}};
}

ProbeResult verdict(const SystemReport& report)
{
    return *std::ranges::find(report.results, "front-end", &ProbeResult::name);
}

bool has_failure(const SystemReport& report)
{
    return std::ranges::any_of(report.results, [](const auto& r) { return r.status == ProbeStatus::kFailed; });
}

TEST(CheckSystem, CachefilesIsTakenWhereItWorks)
{
    const auto report = judge_system(FrontEndMode::kAuto, good("device"), good("fuse"), good("erofs"));
    EXPECT_EQ(report.front_end, "cachefiles");
    EXPECT_TRUE(report.able);
}

TEST(CheckSystem, FuseStandsInAndSaysWhyAndTheFaultIsAWarning)
{
    const auto report = judge_system(FrontEndMode::kAuto, bad("device"), good("fuse"), good("erofs"));
    EXPECT_EQ(report.front_end, "fuse");
    EXPECT_TRUE(report.able);
    EXPECT_FALSE(has_failure(report));
    EXPECT_EQ(verdict(report).text, "fuse (not cachefiles: device is missing)");
}

TEST(CheckSystem, WithoutAnyFrontEndNothingCanBeServed)
{
    const auto report = judge_system(FrontEndMode::kAuto, bad("device"), bad("fuse"), good("erofs"));
    EXPECT_EQ(report.front_end, "");
    EXPECT_FALSE(report.able);
    EXPECT_TRUE(has_failure(report));
}

TEST(CheckSystem, WhatIsConfiguredIsNotReplaced)
{
    const auto cachefiles = judge_system(FrontEndMode::kCachefiles, bad("device"), {}, good("erofs"));
    EXPECT_EQ(cachefiles.front_end, "");
    EXPECT_FALSE(cachefiles.able);
    const auto fuse = judge_system(FrontEndMode::kFuse, {}, good("fuse"), good("erofs"));
    EXPECT_EQ(fuse.front_end, "fuse");
    EXPECT_EQ(verdict(fuse).text, "fuse (as configured)");
}

TEST(CheckSystem, WithoutAFrontEndTheCacheAloneDecides)
{
    const auto report = judge_system(FrontEndMode::kNone, {}, {}, good("cache-dir"));
    EXPECT_EQ(report.front_end, "none");
    EXPECT_TRUE(report.able);
    EXPECT_EQ(verdict(report).text, "none (as configured): libsluice only, nothing can be mounted");
    EXPECT_FALSE(judge_system(FrontEndMode::kNone, {}, {}, bad("cache-dir")).able);
}

TEST(CheckSystem, WithoutAFrontEndNothingIsAskedOfTheKernel)
{
    Config config;
    config.dir = "/proc/no-such-folder";
    config.front_end = FrontEndMode::kNone;
    protocol::SyscallKernelIo io;
    const auto report = check_system(io, config);
    EXPECT_FALSE(report.able);
    for (const auto& result : report.results) {
        EXPECT_TRUE(result.name.starts_with("cache") || result.name == "front-end") << result.name;
    }
}

TEST(CheckSystem, ACacheThatCannotBeUsedIsAFaultWhateverTheFrontEnd)
{
    const auto report = judge_system(FrontEndMode::kAuto, good("device"), good("fuse"), bad("cache-dir"));
    EXPECT_FALSE(report.able);
    EXPECT_TRUE(has_failure(report));
}

} // namespace
} // namespace sluice::daemon
