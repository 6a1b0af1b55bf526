// SPDX-License-Identifier: Apache-2.0
#include "base/helper_process.hpp"
#include "base/unique_fd.hpp"
#include "tests/support/loop_fixture.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sluice {
namespace {

using ::testing::HasSubstr;

class HelperProcessTest : public test::FdLeakTest {
protected:
    /// What a shell prints that runs `script` as a helper.
    static std::string output_of(const std::string& script, bool keeps_capabilities = false)
    {
        std::array<int, 2> ends{-1, -1};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        const UniqueFd ours{kAdoptFd, ends[0]};
        UniqueFd theirs{kAdoptFd, ends[1]};
        const auto pid =
            start_helper({{"sh", "-c", script}, {"PATH=/usr/bin:/bin"}, -1, theirs.get(), -1, keeps_capabilities});
        EXPECT_TRUE(pid) << pid.error().text();
        theirs.reset();
        std::string text;
        std::array<char, 4096> piece{};
        for (ssize_t got = 0; (got = ::read(ours.get(), piece.data(), piece.size())) > 0;) {
            text.append(piece.data(), static_cast<std::size_t>(got));
        }
        if (pid) {
            ::waitpid(*pid, nullptr, 0);
        }
        return text;
    }
};

TEST_F(HelperProcessTest, ItHasNoCapabilityAndCanGetNone)
{
    const auto status = output_of("cat /proc/self/status"); // of a further program that the helper executes
    for (const auto* set : {"CapInh:\t", "CapPrm:\t", "CapEff:\t", "CapAmb:\t"}) {
        EXPECT_THAT(status, HasSubstr(set + std::string{"0000000000000000\n"}));
    }
    EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1\n"));
}

TEST_F(HelperProcessTest, OneThatDoesOurWorkKeepsWhatItNeeds)
{
    std::ifstream own{"/proc/self/status"};
    const std::string status{std::istreambuf_iterator<char>{own}, {}};
    const auto at = status.find("CapEff:");
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(output_of("grep CapEff /proc/$$/status", true), status.substr(at, status.find('\n', at) + 1 - at));
}

TEST_F(HelperProcessTest, ItIsAnOrdinaryProcessInASessionOfItsOwn)
{
    EXPECT_EQ(output_of("cat /proc/self/oom_score_adj"), "0\n");
    const auto ids = output_of("set -- $(cat /proc/$$/stat); test $1 = $6 && echo leads");
    EXPECT_EQ(ids, "leads\n");
}

TEST_F(HelperProcessTest, ItHasNoDescriptorButThoseGiven)
{
    const UniqueFd leak{kAdoptFd, ::open("/etc/passwd", O_RDONLY)}; // NOLINT(android-cloexec-open): that is the point
    ASSERT_TRUE(leak);
    EXPECT_EQ(output_of("for i in /proc/$$/fd/*; do readlink $i; done | grep -c passwd"), "0\n");
    EXPECT_EQ(output_of("readlink /proc/$$/fd/0 /proc/$$/fd/2"), "/dev/null\n/dev/null\n");
}

TEST_F(HelperProcessTest, WithoutEnoughDescriptorsItIsNotStartedRatherThanGivenOurs)
{
    std::array<int, 2> ends{-1, -1};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    const UniqueFd ours{kAdoptFd, ends[0]}; // does not wait: what the helper has printed is there when it has ended
    const UniqueFd theirs{kAdoptFd, ends[1]};
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit few{64, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    std::vector<UniqueFd> all;
    for (int fd = 0; (fd = ::fcntl(theirs.get(), F_DUPFD_CLOEXEC, 0)) >= 0;) {
        all.emplace_back(kAdoptFd, fd);
    }
    const auto most = all.size();
    ASSERT_GT(most, 12U);
    unsigned started = 0;
    unsigned refused = 0;
    for (int spare = 2; spare < 12; ++spare) {
        all.resize(most - static_cast<std::size_t>(spare));
        const auto pid = start_helper({{"sh", "-c", "echo secret"}, {"PATH=/usr/bin:/bin"}, -1, theirs.get()});
        if (pid) {
            ++started;
            ::waitpid(*pid, nullptr, 0);
            std::array<char, 64> text{};
            EXPECT_EQ(::read(ours.get(), text.data(), text.size()), 7) << "with " << spare << " descriptors";
        } else {
            ++refused;
            EXPECT_EQ(pid.error().code(), EMFILE) << spare;
        }
    }
    EXPECT_GT(started, 0U);
    EXPECT_GT(refused, 0U);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(HelperProcessTest, ItHasStandardDescriptorsThoughWeHaveNone)
{
    std::array<UniqueFd, 3> kept;
    for (int i = 0; i < 3; ++i) {
        kept[static_cast<std::size_t>(i)] = UniqueFd{kAdoptFd, ::fcntl(i, F_DUPFD_CLOEXEC, 3)};
    }
    const UniqueFd file{kAdoptFd, ::memfd_create("output", MFD_CLOEXEC)};
    ASSERT_TRUE(file);
    for (int i = 0; i < 3; ++i) {
        ::close(i); // now the pipe and /dev/null come to lie there
    }
    const std::string script = "readlink /proc/$$/fd/0; readlink /proc/$$/fd/2";
    const auto pid = start_helper({{"sh", "-c", script}, {"PATH=/usr/bin:/bin"}, -1, file.get()});
    if (pid) {
        ::waitpid(*pid, nullptr, 0);
    }
    for (int i = 0; i < 3; ++i) {
        ::dup2(kept[static_cast<std::size_t>(i)].get(), i);
    }
    ASSERT_TRUE(pid) << pid.error().text();
    std::array<char, 256> text{};
    const auto got = ::pread(file.get(), text.data(), text.size(), 0);
    EXPECT_EQ(
        (std::string{text.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))}), "/dev/null\n/dev/null\n"
    );
}

TEST_F(HelperProcessTest, SignalsReachItThoughOursAreBlocked)
{
    sigset_t term;
    sigset_t before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &term, &before);
    EXPECT_THAT(output_of("grep SigBlk /proc/self/status"), HasSubstr("0000000000000000"));
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(HelperProcessTest, AProgramThatIsMissingIsTold)
{
    const auto missing = start_helper({{"no-such-program"}, {"PATH=/usr/bin:/bin"}});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
    EXPECT_THAT(missing.error().text(), HasSubstr("no-such-program"));
    const auto refused = start_helper({{"/etc/passwd"}, {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), EACCES);
}

} // namespace
} // namespace sluice
