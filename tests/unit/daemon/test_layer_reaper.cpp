// SPDX-License-Identifier: Apache-2.0
#include "base/unix_listener.hpp"
#include "daemon/image/layer_reaper.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <sys/socket.h>

namespace sluice::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kLayers = "/run/sluice/layers";
const std::string kRoot = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
const std::string kLayer = "40 20 0:50 / /run/sluice/layers/ab12 ro - erofs none ro\n";
const std::string kOverlay = "41 20 0:51 / /mnt/app ro - overlay overlay ro,lowerdir=/run/sluice/layers/ab12:/x\n";
const std::string kBind = "42 20 0:50 / /mnt/bound ro - erofs none ro\n";

TEST(LinesAboutLayers, AreThoseThatMaySayWhoUsesOne)
{
    EXPECT_EQ(lines_about_layers(kRoot + kLayer + kOverlay + kBind, kLayers), kLayer + kOverlay + kBind);
    EXPECT_EQ(lines_about_layers(kLayer.substr(0, kLayer.size() - 1), kLayers), kLayer);
}

TEST(LinesAboutLayers, AreNoneWithoutALayer)
{
    EXPECT_THAT(lines_about_layers("", kLayers), IsEmpty());
    EXPECT_THAT(lines_about_layers(kRoot, kLayers), IsEmpty());
    EXPECT_THAT(lines_about_layers(kRoot + "40 20 0:50 / /mnt/erofs ro - erofs /dev/sdb ro\n", kLayers), IsEmpty());
    EXPECT_THAT(lines_about_layers("40 20 0:50 / /run/sluice/layers2/a ro - erofs none ro\n", kLayers), IsEmpty());
}

TEST(LinesAboutLayers, KnowHowTheKernelPrintsPaths)
{
    EXPECT_THAT(
        lines_about_layers("40 20 0:50 / /run/my\\040layers/a ro - erofs none ro\n", "/run/my layers"), Not(IsEmpty())
    );
}

class ReaperScheduleTest : public ::testing::Test {
protected:
    static constexpr ReaperSchedule::Pace kPace{milliseconds{500}, milliseconds{5'000}, milliseconds{60'000}};

    [[nodiscard]] static TimePoint at(std::int64_t ms) { return TimePoint{} + milliseconds{ms}; }

    ReaperSchedule schedule{kLayers, kPace};
};

TEST_F(ReaperScheduleTest, AChangeIsLookedAtWhenItHasSettled)
{
    EXPECT_EQ(schedule.change(at(1'000)), at(1'500));
    EXPECT_EQ(schedule.change(at(1'400)), at(1'900));
    EXPECT_TRUE(schedule.decide(at(1'900), kRoot + kLayer).look);
}

TEST_F(ReaperScheduleTest, ABurstWithoutEndDoesNotPutItOffForEver)
{
    auto when = schedule.change(at(0));
    for (int ms = 100; at(ms) < when; ms += 100) {
        ASSERT_LE(ms, 5'000);
        when = schedule.change(at(ms));
    }
    EXPECT_EQ(when, at(5'000));
    EXPECT_TRUE(schedule.decide(when, kRoot + kLayer).look);
    EXPECT_EQ(schedule.change(at(5'100)), at(5'600)) << "the next burst";
}

TEST_F(ReaperScheduleTest, WithoutLayersThereIsNothingToLookFor)
{
    (void)schedule.change(at(0));
    const auto verdict = schedule.decide(at(500), kRoot);
    EXPECT_FALSE(verdict.look);
    EXPECT_FALSE(verdict.again);
}

TEST_F(ReaperScheduleTest, AChangeThatConcernsNoLayerWaits)
{
    EXPECT_TRUE(schedule.decide(at(1'000), kRoot + kLayer).look);
    const auto other = kRoot + kLayer + "50 20 0:60 / /mnt/usb rw - vfat /dev/sdc rw\n";
    (void)schedule.change(at(2'000));
    const auto verdict = schedule.decide(at(2'500), other);
    EXPECT_FALSE(verdict.look);
    ASSERT_TRUE(verdict.again);
    EXPECT_EQ(*verdict.again, at(61'000)) << "a user in another namespace may have gone meanwhile";
    EXPECT_TRUE(schedule.decide(at(61'000), other).look);
}

TEST_F(ReaperScheduleTest, AChangeOfAUserIsLookedAtSoon)
{
    EXPECT_TRUE(schedule.decide(at(1'000), kRoot + kLayer + kOverlay).look);
    EXPECT_EQ(schedule.change(at(2'000)), at(2'500));
    EXPECT_TRUE(schedule.decide(at(2'500), kRoot + kLayer).look);
}

TEST_F(ReaperScheduleTest, ALayerThatComesBackIsLookedAt)
{
    EXPECT_TRUE(schedule.decide(at(1'000), kRoot + kLayer).look);
    EXPECT_FALSE(schedule.decide(at(2'000), kRoot).look);
    EXPECT_TRUE(schedule.decide(at(3'000), kRoot + kLayer).look);
}

TEST_F(ReaperScheduleTest, AFailedLookIsMadeUpForAtTheNextChange)
{
    EXPECT_TRUE(schedule.decide(at(1'000), kRoot + kLayer).look);
    schedule.forget_last_look();
    EXPECT_TRUE(schedule.decide(at(2'000), kRoot + kLayer).look);
}

class LayerReaperTest : public test::FdLeakTest {
protected:
    /// A program that notes its arguments, one line a run, then does `rest`.
    std::string program(const std::string& rest)
    {
        const auto path = dir.write("program", fmt::format("#!/bin/sh\necho \"$@\" >> {}\n{}\n", log().string(), rest));
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        return path.string();
    }

    [[nodiscard]] std::filesystem::path log() const { return dir.path() / "runs"; }

    [[nodiscard]] long runs() const
    {
        std::ifstream in{log()};
        return std::count(std::istreambuf_iterator<char>{in}, {}, '\n');
    }

    /// The service manager's socket, at which nobody has been asked yet.
    UniqueFd listen() const { return listen_unix({"test", socket(), SOCK_STREAM}).value(); }

    [[nodiscard]] std::filesystem::path socket() const { return dir.path() / "release.sock"; }

    /// Waits for a request, has it answered with `complaint`, and yields what it said.
    std::string serve(int listener, std::string_view complaint)
    {
        UniqueFd connection;
        EXPECT_TRUE(test::run_until(loop, [&] {
            connection = UniqueFd{kAdoptFd, ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)};
            return static_cast<bool>(connection);
        }));
        std::array<char, 100> line{};
        const auto got = ::recv(connection.get(), line.data(), line.size(), MSG_WAITALL);
        EXPECT_EQ(::send(connection.get(), complaint.data(), complaint.size(), MSG_NOSIGNAL), std::ssize(complaint));
        return {line.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
    }

    test::TempDir dir;
    EventLoop loop;
    std::string table = kRoot + kLayer;
    ReaperSchedule::Pace pace{milliseconds{1}, milliseconds{5}, milliseconds{60'000}};
};

TEST_F(LayerReaperTest, RunsTheProgramWithTheDirectoryOfTheLayers)
{
    LayerReaper reaper{loop, {program("exit 0"), {}}, kLayers, pace, [this] { return table; }};
    reaper.check();
    ASSERT_TRUE(test::run_until(loop, [&] { return runs() == 1; }));
    std::ifstream in{log()};
    std::string line;
    std::getline(in, line);
    EXPECT_EQ(line, "release-layers --layers-dir /run/sluice/layers");
}

TEST_F(LayerReaperTest, WhatChangesWhileItLooksIsLookedAtAfterwards)
{
    const auto go = dir.path() / "go";
    const auto wait = fmt::format("while [ ! -e {} ]; do :; done", go.string());
    LayerReaper reaper{loop, {program(wait), {}}, kLayers, pace, [this] { return table; }};
    reaper.check();
    ASSERT_TRUE(test::run_until(loop, [&] { return runs() == 1; }));
    table += kOverlay;
    reaper.check();
    std::ofstream{go} << "now";
    ASSERT_TRUE(test::run_until(loop, [&] { return runs() == 2; }));
}

TEST_F(LayerReaperTest, AChangeWhileItLooksIsLookedAtThoughTheTableReadsTheSame)
{
    const auto go = dir.path() / "go";
    const auto wait = fmt::format("while [ ! -e {} ]; do :; done", go.string());
    LayerReaper reaper{loop, {program(wait), {}}, kLayers, pace, [this] { return table; }};
    reaper.check();
    ASSERT_TRUE(test::run_until(loop, [&] { return runs() == 1; }));
    reaper.check(); // released, mounted anew with the same number, and left again
    std::ofstream{go} << "now";
    EXPECT_TRUE(test::run_until(loop, [&] { return runs() == 2; }));
}

TEST_F(LayerReaperTest, AProgramThatFailsIsToldOfAndRunAgainAtTheNextChange)
{
    LayerReaper reaper{loop, {program("exit 3"), {}}, kLayers, pace, [this] { return table; }};
    ::testing::internal::CaptureStderr();
    reaper.check();
    ASSERT_TRUE(test::run_until(loop, [&] {
        reaper.check(); // the same table
        return runs() == 2;
    }));
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("release-layers failed: status 0x300"));
}

TEST_F(LayerReaperTest, AsksTheServiceManagerWhereThatListensAndRunsNothing)
{
    const auto listener = listen();
    LayerReaper reaper{loop, {program("exit 0"), socket()}, kLayers, pace, [this] { return table; }};
    reaper.check();
    EXPECT_EQ(serve(listener.get(), ""), "/run/sluice/layers\n");
    table += kOverlay;
    reaper.check();
    EXPECT_EQ(serve(listener.get(), ""), "/run/sluice/layers\n");
    EXPECT_EQ(runs(), 0);
}

TEST_F(LayerReaperTest, WhatTheServiceComplainsOfIsLoggedAndItIsAskedAgain)
{
    const auto listener = listen();
    LayerReaper reaper{loop, {program("exit 0"), socket()}, kLayers, pace, [this] { return table; }};
    ::testing::internal::CaptureStderr();
    reaper.check();
    (void)serve(listener.get(), "sluicectl: /run/sluice/layers/ab12: busy\n");
    std::string logged;
    EXPECT_TRUE(test::run_until(loop, [&] {
        reaper.check(); // the same table
        UniqueFd again{kAdoptFd, ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        return static_cast<bool>(again);
    }));
    logged = ::testing::internal::GetCapturedStderr();
    EXPECT_THAT(logged, HasSubstr("release-layers failed: sluicectl: /run/sluice/layers/ab12: busy"));
}

TEST_F(LayerReaperTest, RunsTheProgramWhereTheServiceManagerDoesNotListen)
{
    LayerReaper reaper{loop, {program("exit 0"), socket()}, kLayers, pace, [this] { return table; }};
    reaper.check();
    EXPECT_TRUE(test::run_until(loop, [&] { return runs() == 1; }));
}

TEST_F(LayerReaperTest, AProgramThatIsNotThereIsToldOfOnce)
{
    ::testing::internal::CaptureStderr();
    unsigned reads = 0;
    LayerReaper reaper{loop, {"/no/sluicectl", {}}, kLayers, pace, [&] {
                           ++reads;
                           return table;
                       }};
    reaper.check();
    ASSERT_TRUE(test::run_until(loop, [&] { return reads == 1; }));
    reaper.check();
    ASSERT_TRUE(test::run_until(loop, [&] { return reads == 2; }));
    const auto logged = ::testing::internal::GetCapturedStderr();
    EXPECT_THAT(logged, HasSubstr("cannot run /no/sluicectl"));
    EXPECT_EQ(std::ranges::count(logged, '\n'), 1);
}

} // namespace
} // namespace sluice::daemon
