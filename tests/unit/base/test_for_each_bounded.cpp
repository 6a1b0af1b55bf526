// SPDX-License-Identifier: Apache-2.0
#include "base/for_each_bounded.hpp"
#include "tests/support/loop_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>

namespace sluice {
namespace {

class ForEachBounded : public test::FdLeakTest {
protected:
    struct Running {
        explicit Running(unsigned& count) : running{count} { ++running; }

        Running(const Running&) = delete;
        Running& operator=(const Running&) = delete;

        ~Running() { --running; }

        unsigned& running;
    };

    /// Waits until the test ends it.
    static Task<Result<void>> job(ForEachBounded& self, std::size_t number)
    {
        const Running counted{self.running};
        const OneShot<Result<void>> ended{self.loop};
        self.started.push_back(number);
        self.end.emplace(number, ended.setter());
        auto outcome = co_await ended;
        co_return outcome;
    }

    static Task<void> collect(ForEachBounded& self, Task<Result<void>> inner)
    {
        auto outcome = co_await inner;
        self.outcome = std::move(outcome);
    }

    void run(std::size_t count, std::size_t at_once)
    {
        auto start = [this](std::size_t number) { return job(*this, number); };
        scope->spawn(collect(*this, for_each_bounded(loop, count, at_once, std::move(start))));
    }

    void finish(std::size_t number, Result<void> with = {}) { end.at(number).set(std::move(with)); }

    EventLoop loop;
    std::vector<std::size_t> started;
    std::map<std::size_t, OneShot<Result<void>>::Setter> end;
    unsigned running = 0;
    std::optional<Result<void>> outcome;
    std::unique_ptr<TaskScope> scope = std::make_unique<TaskScope>(loop);
};

using ::testing::ElementsAre;

TEST_F(ForEachBounded, NothingToDoSucceeds)
{
    run(0, 4);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(*outcome);
}

TEST_F(ForEachBounded, TheNextOneStartsWhenOneHasEnded)
{
    run(4, 2);
    EXPECT_THAT(started, ElementsAre(0, 1));
    finish(1);
    ASSERT_TRUE(test::run_until(loop, [&] { return started.size() == 3; }));
    EXPECT_EQ(running, 2U);
    finish(0);
    ASSERT_TRUE(test::run_until(loop, [&] { return started.size() == 4; }));
    finish(3);
    ASSERT_TRUE(test::run_until(loop, [&] { return running == 1; }));
    EXPECT_FALSE(outcome) << "one still runs";
    finish(2);
    ASSERT_TRUE(test::run_until(loop, [&] { return outcome.has_value(); }));
    EXPECT_TRUE(*outcome);
    EXPECT_THAT(started, ElementsAre(0, 1, 2, 3));
}

TEST_F(ForEachBounded, TheFirstFailureIsTheOutcomeAndCancelsTheRest)
{
    run(9, 3);
    finish(2, fail(ErrorKind::kCorrupt, "the third"));
    finish(0, fail(ErrorKind::kCorrupt, "the first"));
    ASSERT_TRUE(test::run_until(loop, [&] { return outcome.has_value(); }));
    ASSERT_FALSE(*outcome);
    EXPECT_EQ(outcome->error().text(), "the third");
    EXPECT_EQ(running, 0U);
    EXPECT_THAT(started, ElementsAre(0, 1, 2)) << "no other one is started";
}

TEST_F(ForEachBounded, WhoCancelsItCancelsAll)
{
    run(9, 3);
    EXPECT_EQ(running, 3U);
    scope.reset();
    EXPECT_EQ(running, 0U);
    EXPECT_FALSE(outcome);
}

TEST_F(ForEachBounded, JobsThatEndAtOnceNeedNoLoop)
{
    unsigned done = 0;
    auto start = [&done](std::size_t) {
        ++done;
        return []() -> Task<Result<void>> { co_return Result<void>{}; }();
    };
    scope->spawn(collect(*this, for_each_bounded(loop, 10'000, 2, std::move(start))));
    EXPECT_EQ(done, 10'000U);
    ASSERT_TRUE(test::run_until(loop, [&] { return outcome.has_value(); }));
}

} // namespace
} // namespace sluice
