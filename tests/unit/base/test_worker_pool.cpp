// SPDX-License-Identifier: Apache-2.0
#include "base/mutex.hpp"
#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "tests/support/loop_fixture.hpp"

#include <chrono>
#include <future>
#include <gmock/gmock.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;

/// Jobs that wait until the test lets them go, and that note when they start.
class Jobs {
public:
    /// A job that says when it runs, and then waits for let_go().
    [[nodiscard]] UniqueFunction<void()> blocker(std::promise<void>& runs)
    {
        return [this, &runs] {
            runs.set_value();
            gate_.wait();
        };
    }

    [[nodiscard]] UniqueFunction<void()> noting(std::string name)
    {
        return [this, name = std::move(name)] {
            const MutexLock lock{mutex_};
            order_.push_back(name);
        };
    }

    void let_go() { opener_.set_value(); }

    /// The names in the order in which they ran; once the pool is gone.
    [[nodiscard]] const std::vector<std::string>& order() const noexcept { return order_; }

private:
    std::promise<void> opener_;
    std::shared_future<void> gate_ = opener_.get_future().share();
    Mutex mutex_;
    std::vector<std::string> order_ SLUICE_GUARDED_BY(mutex_);
};

class WorkerPoolTest : public test::FdLeakTest {
protected:
    Jobs jobs_;
};

TEST_F(WorkerPoolTest, TakesWhatIsMoreUrgentFirstAndEachUrgencyInOrder)
{
    {
        WorkerPool pool{1};
        std::promise<void> runs;
        pool.submit(jobs_.blocker(runs));
        runs.get_future().wait();
        pool.submit(jobs_.noting("background 1"), Urgency::kBackground);
        pool.submit(jobs_.noting("ahead 1"), Urgency::kReadahead);
        pool.submit(jobs_.noting("background 2"), Urgency::kBackground);
        pool.submit(jobs_.noting("ahead 2"), Urgency::kReadahead);
        pool.submit(jobs_.noting("demand 1"), Urgency::kDemand);
        pool.submit(jobs_.noting("demand 2"));
        jobs_.let_go();
    }
    EXPECT_THAT(
        jobs_.order(), ElementsAre("demand 1", "demand 2", "ahead 1", "ahead 2", "background 1", "background 2")
    );
}

TEST_F(WorkerPoolTest, BackgroundNeverHasAllWorkers)
{
    {
        WorkerPool pool{3};
        std::promise<void> first;
        std::promise<void> second;
        pool.submit(jobs_.blocker(first), Urgency::kBackground);
        pool.submit(jobs_.blocker(second), Urgency::kBackground);
        first.get_future().wait();
        second.get_future().wait();
        pool.submit(jobs_.noting("background"), Urgency::kBackground);
        // Were the third worker to take the job above, this would not hang; the order below would be another one.
        for (const auto urgency : {Urgency::kReadahead, Urgency::kDemand}) {
            std::promise<void> done;
            pool.submit([&] { jobs_.noting("urgent")(); }, urgency);
            pool.submit([&] { done.set_value(); }, urgency);
            done.get_future().wait();
        }
        jobs_.let_go();
    }
    EXPECT_THAT(jobs_.order(), ElementsAre("urgent", "urgent", "background"));
}

TEST_F(WorkerPoolTest, AWorkerIsFreeForDemandWhileBackgroundJobsLast)
{
    WorkerPool pool{2};
    std::promise<void> first;
    std::promise<void> second;
    pool.submit(jobs_.blocker(first), Urgency::kBackground);
    first.get_future().wait();
    pool.submit(jobs_.blocker(second), Urgency::kBackground);
    std::promise<void> answered;
    pool.submit([&] { answered.set_value(); });
    answered.get_future().wait(); // hangs where both workers are in the background jobs
    jobs_.let_go();
    second.get_future().wait();
}

TEST_F(WorkerPoolTest, TheOnlyWorkerTakesBackgroundJobsToo)
{
    WorkerPool pool{1};
    std::promise<void> done;
    pool.submit([&] { done.set_value(); }, Urgency::kBackground);
    done.get_future().wait();
}

TEST_F(WorkerPoolTest, DestructionFinishesWhatIsQueued)
{
    std::vector<std::string> expected;
    {
        WorkerPool pool{1};
        std::promise<void> runs;
        pool.submit(jobs_.blocker(runs));
        runs.get_future().wait();
        for (const auto urgency : {Urgency::kDemand, Urgency::kReadahead, Urgency::kBackground}) {
            for (int i = 0; i < 100; ++i) {
                expected.push_back(std::to_string(static_cast<int>(urgency)) + "." + std::to_string(i));
                pool.submit(jobs_.noting(expected.back()), urgency);
            }
        }
        jobs_.let_go();
    }
    EXPECT_EQ(jobs_.order(), expected);
}

TEST_F(WorkerPoolTest, AJobMaySubmitFromItsDestructor)
{
    struct Resubmits {
        WorkerPool& pool;
        Jobs& jobs;

        Resubmits(WorkerPool& to, Jobs& from) : pool{to}, jobs{from} {}

        Resubmits(const Resubmits&) = delete;
        Resubmits& operator=(const Resubmits&) = delete;

        ~Resubmits() { pool.submit(jobs.noting("from the destructor")); }
    };

    {
        WorkerPool pool{1};
        pool.submit([owned = std::make_unique<Resubmits>(pool, jobs_)] {});
    }
    EXPECT_THAT(jobs_.order(), ElementsAre("from the destructor"));
}

TEST(WorkerPoolDeathTest, AJobThatThrowsEndsTheProcessWithItsText)
{
    const auto run = [] {
        WorkerPool pool{1};
        pool.submit([] { throw std::runtime_error{"the disk is gone"}; });
    };
    EXPECT_DEATH(run(), "the disk is gone");
}

TEST_F(WorkerPoolTest, WhatAJobOwnsDiesOnTheWorker)
{
    struct TellsWhere {
        std::thread::id* died;

        explicit TellsWhere(std::thread::id& where) : died{&where} {}

        TellsWhere(const TellsWhere&) = delete;
        TellsWhere& operator=(const TellsWhere&) = delete;

        ~TellsWhere() { *died = std::this_thread::get_id(); }
    };

    EventLoop loop;
    std::thread::id died;
    WorkerPool pool{1};
    auto job = [owned = std::make_unique<TellsWhere>(died)] { return std::this_thread::get_id(); };
    auto task = pool.run(loop, std::move(job), Urgency::kBackground);
    const auto ran = test::run_task(loop, std::move(task));
    EXPECT_EQ(died, ran);
    EXPECT_NE(died, std::this_thread::get_id());
}

} // namespace
} // namespace sluice
