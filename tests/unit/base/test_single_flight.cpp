// SPDX-License-Identifier: Apache-2.0
#include "base/single_flight.hpp"
#include "tests/support/loop_fixture.hpp"

#include <gmock/gmock.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SingleFlightTest : public test::FdLeakTest {
protected:
    using Flights = SingleFlight<std::string, int>;

    struct Running {
        explicit Running(unsigned& count) : running{count} { ++running; }

        Running(const Running&) = delete;
        Running& operator=(const Running&) = delete;

        ~Running() { --running; }

        unsigned& running;
    };

    /// Waits until the test lets it land.
    static Task<int> job(SingleFlightTest& self, std::string key)
    {
        const Running counted{self.running_};
        const OneShot<int> landed{self.loop_};
        self.started_.push_back(key);
        self.land_.insert_or_assign(key, landed.setter());
        const int value = co_await landed;
        co_return value;
    }

    static Task<int> quick_job(int value) { co_return value; }

    static Task<void> collect(SingleFlightTest& self, Task<int> inner)
    {
        const int value = co_await inner;
        self.values_.push_back(value);
    }

    void ask(TaskScope& scope, const std::string& key)
    {
        auto start = [this, key] { return job(*this, key); };
        scope.spawn(collect(*this, flights_->run(key, std::move(start))));
    }

    void land(const std::string& key, int value, std::size_t values)
    {
        land_.at(key).set(value);
        ASSERT_TRUE(test::run_until(loop_, [this, values] { return values_.size() == values; }));
    }

    EventLoop loop_;
    std::vector<std::string> started_;
    std::map<std::string, OneShot<int>::Setter> land_;
    std::vector<int> values_;
    unsigned running_ = 0;
    std::unique_ptr<Flights> flights_ = std::make_unique<Flights>(loop_);
};

TEST_F(SingleFlightTest, WhoAsksWhileTheJobRunsGetsItsValue)
{
    TaskScope scope{loop_};
    ask(scope, "a");
    ask(scope, "a");
    ask(scope, "a");
    EXPECT_THAT(started_, ElementsAre("a"));
    land("a", 7, 3);
    EXPECT_THAT(values_, ElementsAre(7, 7, 7));
}

TEST_F(SingleFlightTest, EachKeyHasItsJob)
{
    TaskScope scope{loop_};
    ask(scope, "a");
    ask(scope, "b");
    EXPECT_THAT(started_, ElementsAre("a", "b"));
    land("b", 2, 1);
    land("a", 1, 2);
    EXPECT_THAT(values_, ElementsAre(2, 1));
}

TEST_F(SingleFlightTest, WhoAsksAfterwardsHasTheJobDoneAgain)
{
    TaskScope scope{loop_};
    ask(scope, "a");
    land("a", 1, 1);
    ask(scope, "a");
    EXPECT_THAT(started_, ElementsAre("a", "a"));
    land("a", 2, 2);
    EXPECT_THAT(values_, ElementsAre(1, 2));
}

TEST_F(SingleFlightTest, AJobThatEndsAtOnceAnswersAndIsNotRemembered)
{
    for (const int value : {1, 2}) {
        auto start = [value] { return quick_job(value); };
        EXPECT_EQ(test::run_task(loop_, flights_->run("a", std::move(start))), value);
    }
}

TEST_F(SingleFlightTest, TheJobGoesOnForOthersWhenTheOneWhoStartedItIsCancelled)
{
    TaskScope patient{loop_};
    {
        TaskScope impatient{loop_};
        ask(impatient, "a");
        ask(patient, "a");
    }
    land("a", 7, 1);
    EXPECT_THAT(started_, ElementsAre("a"));
}

TEST_F(SingleFlightTest, TheJobGoesOnWhenAllWhoAskedAreCancelledAndLaterAskersJoinIt)
{
    {
        TaskScope impatient{loop_};
        ask(impatient, "a");
    }
    EXPECT_EQ(running_, 1U);
    TaskScope scope{loop_};
    ask(scope, "a");
    EXPECT_THAT(started_, ElementsAre("a"));
    land("a", 7, 1);
    EXPECT_TRUE(test::run_until(loop_, [this] { return running_ == 0; }));
}

TEST_F(SingleFlightTest, DestructionCancelsTheJobs)
{
    TaskScope scope{loop_};
    ask(scope, "a");
    ask(scope, "b");
    EXPECT_EQ(running_, 2U);
    flights_.reset();
    EXPECT_EQ(running_, 0U);
    land_.at("a").set(1);
    while (loop_.run_once(milliseconds{0})) {
    }
    EXPECT_THAT(values_, IsEmpty());
}

} // namespace
} // namespace sluice
