// SPDX-License-Identifier: Apache-2.0
#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "tests/support/loop_fixture.hpp"

#include <memory>
#include <string>
#include <thread>

namespace sluice {
namespace {

using TaskTest = test::FdLeakTest;

Task<int> add(int a, int b)
{
    co_return a + b;
}

Task<std::string> chain(EventLoop& loop)
{
    const int sum = co_await add(1, 2);
    co_await sleep_for(loop, milliseconds{1});
    co_return std::to_string(sum);
}

TEST_F(TaskTest, RunsToItsEndOnTheLoop)
{
    EventLoop loop;
    EXPECT_EQ(test::run_task(loop, chain(loop)), "3");
}

Task<void> wait_for(OneShot<int> value, std::shared_ptr<int> seen)
{
    const int arrived = co_await value;
    *seen = arrived;
}

TEST_F(TaskTest, DestroyingTheScopeCancelsAndFreesTheFrame)
{
    EventLoop loop;
    const OneShot<int> value{loop};
    auto seen = std::make_shared<int>(0);
    {
        TaskScope scope{loop};
        scope.spawn(wait_for(value, seen));
        EXPECT_EQ(seen.use_count(), 2);
        value.setter().set(7); // the resumption is queued, and must not reach a frame that is gone
    }
    EXPECT_EQ(seen.use_count(), 1);
    while (loop.run_once(milliseconds{0})) {
    }
    EXPECT_EQ(*seen, 0);
}

Task<void> hold(std::shared_ptr<int> held)
{
    ++*held;
    co_return;
}

TEST_F(TaskTest, ACancelledScopeHasNothingLeftToForgetAndCanBeUsedAgain)
{
    EventLoop loop;
    auto held = std::make_shared<int>(0);
    TaskScope scope{loop};
    scope.spawn(hold(held)); // ends at once, and asks the loop to forget it
    scope.cancel_all();
    scope.spawn(hold(held)); // may lie where the first one lay
    auto value = std::make_unique<OneShot<int>>(loop);
    scope.spawn(wait_for(*value, held));
    while (loop.run_once(milliseconds{0})) {
    }
    EXPECT_EQ(*held, 2);
    EXPECT_FALSE(scope.empty()) << "the one that waits";
    EXPECT_EQ(held.use_count(), 2);
}

TEST_F(TaskTest, AValueMayArriveBeforeItIsAwaited)
{
    EventLoop loop;
    const OneShot<int> value{loop};
    value.setter().set(7);
    value.setter().set(8);
    auto seen = std::make_shared<int>(0);
    TaskScope scope{loop};
    scope.spawn(wait_for(value, seen));
    EXPECT_EQ(*seen, 7);
    EXPECT_TRUE(test::run_until(loop, [&] { return scope.empty(); }));
}

TEST_F(TaskTest, WorkersAnswerOnTheLoop)
{
    EventLoop loop;
    WorkerPool pool{2};
    const auto here = std::this_thread::get_id();
    auto there = pool.run(loop, [] { return std::this_thread::get_id(); });
    EXPECT_NE(test::run_task(loop, std::move(there)), here);
}

TEST_F(TaskTest, AWorkerOutlivesItsCancelledWaiter)
{
    EventLoop loop;
    auto owned = std::make_shared<int>(1);
    {
        WorkerPool pool{1};
        TaskScope scope{loop};

        struct Run {
            static Task<void> it(WorkerPool& workers, EventLoop& on, std::shared_ptr<int> mine)
            {
                auto job = [mine] { return *mine; };
                (void)co_await workers.run(on, std::move(job));
            }
        };

        scope.spawn(Run::it(pool, loop, owned));
    }
    while (loop.run_once(milliseconds{0})) {
    }
    EXPECT_EQ(owned.use_count(), 1);
}

} // namespace
} // namespace sluice
