// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.hpp"
#include "base/stall_watch.hpp"
#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "tests/support/loop_fixture.hpp"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <future>
#include <gmock/gmock.h>
#include <string>
#include <sys/epoll.h>
#include <thread>
#include <unistd.h>

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class StallWatchTest : public test::FdLeakTest {
protected:
    /// A loop whose watch believes `times_`, and takes more than 50 ms for a stall.
    struct Loop : EventLoop {
        explicit Loop(const ThreadTimes& times)
        {
            stall_watch().set_limit(milliseconds{50});
            stall_watch().set_clock([&times] { return times; });
        }
    };

    void compute(milliseconds span)
    {
        times_.wall += span;
        times_.computing += span;
    }

    void block(milliseconds span) { times_.wall += span; }

    void queue_for_a_processor(milliseconds span)
    {
        times_.wall += span;
        times_.queueing += span;
    }

    ThreadTimes times_;
    bool ran_ = false;
};

TEST_F(StallWatchTest, ATimersHandlerThatBlocksIsNamed)
{
    Loop loop{times_};
    Timer timer{
        loop,
        [&] {
            compute(milliseconds{7});
            block(milliseconds{300});
            ran_ = true;
        },
        "flush"};
    timer.arm(milliseconds{0});
    ASSERT_TRUE(test::run_until(loop, [&] { return ran_; }));
    EXPECT_EQ(loop.stalls(), 1U);
    EXPECT_THAT(
        loop.stall_watch().last(),
        AllOf(HasSubstr("307 ms"), HasSubstr("7 ms computing"), HasSubstr("300 ms blocked"), HasSubstr("(flush, "))
    );
    EXPECT_THAT(loop.stall_watch().last(), HasSubstr("tests/unit/base/test_stall_watch.cpp:"));
}

TEST_F(StallWatchTest, ComputingForLongIsAStallToo)
{
    Loop loop{times_};
    loop.defer([&] {
        compute(milliseconds{51});
        ran_ = true;
    });
    ASSERT_TRUE(test::run_until(loop, [&] { return ran_; }));
    EXPECT_EQ(loop.stalls(), 1U);
    EXPECT_THAT(loop.stall_watch().last(), HasSubstr("(deferred, tests/unit/base/test_stall_watch.cpp:"));
}

TEST_F(StallWatchTest, ABusyMachineMakesNoStall)
{
    Loop loop{times_};
    loop.post([&] {
        queue_for_a_processor(milliseconds{5000});
        compute(milliseconds{20});
        block(milliseconds{20});
        ran_ = true;
    });
    ASSERT_TRUE(test::run_until(loop, [&] { return ran_; }));
    EXPECT_EQ(loop.stalls(), 0U);
    EXPECT_EQ(loop.stall_watch().last(), "");
}

TEST_F(StallWatchTest, ManyShortTurnsAndTheTimeBetweenThemAreNone)
{
    Loop loop{times_};
    int turns = 0;
    for (int i = 0; i < 100; ++i) {
        loop.post([&] {
            block(milliseconds{10});
            ++turns;
        });
    }
    ASSERT_TRUE(test::run_until(loop, [&] { return turns == 100; }));
    block(milliseconds{10'000}); // nobody's turn
    loop.post([&] { ran_ = true; });
    ASSERT_TRUE(test::run_until(loop, [&] { return ran_; }));
    EXPECT_EQ(loop.stalls(), 0U);
}

TEST_F(StallWatchTest, ACoroutineIsNamedByWhereItWaited)
{
    struct Run {
        static Task<void> it(EventLoop& loop, WorkerPool& pool, ThreadTimes& times, bool& ran)
        {
            auto job = [] { return 1; };
            (void)co_await pool.run(loop, std::move(job));
            times.wall += milliseconds{300};
            ran = true;
        }
    };

    Loop loop{times_};
    WorkerPool pool{1};
    TaskScope scope{loop};
    scope.spawn(Run::it(loop, pool, times_, ran_));
    ASSERT_TRUE(test::run_until(loop, [&] { return ran_ && scope.empty(); }));
    EXPECT_EQ(loop.stalls(), 1U);
    EXPECT_THAT(
        loop.stall_watch().last(), HasSubstr("(coroutine after a worker's job, tests/unit/base/test_stall_watch.cpp:")
    );
}

TEST_F(StallWatchTest, AHandlerMayDestroyItsSource)
{
    Loop loop{times_};
    auto timer = std::make_unique<Timer>(
        loop, [] {}, "unused"
    );
    timer = std::make_unique<Timer>(
        loop,
        [&] {
            timer.reset();
            block(milliseconds{300});
            ran_ = true;
        },
        "suicide"
    );
    timer->arm(milliseconds{0});
    ASSERT_TRUE(test::run_until(loop, [&] { return ran_; }));
    EXPECT_THAT(loop.stall_watch().last(), AllOf(HasSubstr("(suicide)"), Not(HasSubstr("/usr/"))));
}

TEST_F(StallWatchTest, SwitchedOffItCountsNothing)
{
    Loop loop{times_};
    loop.stall_watch().set_limit(std::nullopt);
    loop.post([&] {
        block(milliseconds{300});
        ran_ = true;
    });
    ASSERT_TRUE(test::run_until(loop, [&] { return ran_; }));
    EXPECT_EQ(loop.stalls(), 0U);
}

/// Not faked: the handler really blocks, until another thread has seen that the limit is over.
TEST_F(StallWatchTest, AHandlerThatBlocksOnAPipeIsReported)
{
    constexpr milliseconds kLimit{5};
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd theirs{kAdoptFd, ends[0]};
    const UniqueFd ours{kAdoptFd, ends[1]};
    EventLoop loop;
    loop.stall_watch().set_limit(kLimit);
    std::promise<void> begun;
    std::thread teller{[&] {
        begun.get_future().wait();
        const Deadline over = Deadline::after(2 * kLimit);
        while (!over.passed()) {
            std::this_thread::yield();
        }
        (void)!::write(ours.get(), "x", 1);
    }};
    loop.post(
        [&] {
            begun.set_value();
            char told = 0;
            (void)!::read(theirs.get(), &told, 1);
            ran_ = true;
        },
        "reader of a pipe"
    );
    EXPECT_TRUE(test::run_until(loop, [&] { return ran_; }));
    teller.join();
    EXPECT_EQ(loop.stalls(), 1U);
    EXPECT_THAT(loop.stall_watch().last(), HasSubstr("(reader of a pipe, "));
}

TEST_F(StallWatchTest, TheEnvironmentSetsTheLimit)
{
    const auto stalls_with = [this](const char* limit, milliseconds blocked) {
        ::setenv("SLUICE_STALL_MS", limit, 1); // NOLINT(concurrency-mt-unsafe): no other thread runs
        EventLoop loop;
        ::unsetenv("SLUICE_STALL_MS"); // NOLINT(concurrency-mt-unsafe)
        loop.stall_watch().set_clock([this] { return times_; });
        bool ran = false;
        loop.post([&] {
            block(blocked);
            ran = true;
        });
        EXPECT_TRUE(test::run_until(loop, [&] { return ran; }));
        return loop.stalls();
    };
    EXPECT_EQ(stalls_with("2000", milliseconds{1900}), 0U);
    EXPECT_EQ(stalls_with("2000", milliseconds{2100}), 1U);
    EXPECT_EQ(stalls_with("0", milliseconds{2100}), 0U);
}

} // namespace
} // namespace sluice
