// SPDX-License-Identifier: Apache-2.0
#include "fetcher/host_slots.hpp"
#include "tests/support/loop_fixture.hpp"

#include <gmock/gmock.h>

namespace sluice::fetcher {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HostSlotsTest : public ::testing::Test {
protected:
    /// Takes a slot as soon as it can, notes `name`, and keeps it until free() is called.
    void ask(const std::string& name, Urgency urgency)
    {
        struct Run {
            static Task<void> it(HostSlotsTest& test, std::string name, Urgency urgency)
            {
                std::string host = "registry.example";
                auto slot = co_await test.slots_.acquire(std::move(host), urgency);
                test.order_.push_back(name);
                test.held_.push_back(std::move(slot));
            }
        };

        scope_.spawn(Run::it(*this, name, urgency));
    }

    void free(std::size_t index)
    {
        held_.at(index) = {};
        settle();
    }

    void settle()
    {
        while (loop_.run_once(milliseconds{0})) {
        }
    }

    EventLoop loop_;
    HostSlots slots_{loop_, 4};
    std::vector<std::string> order_;
    std::vector<HostSlots::Slot> held_;
    TaskScope scope_{loop_};
};

TEST_F(HostSlotsTest, ReadaheadLeavesASlotToReaders)
{
    for (const auto* name : {"a", "b", "c", "d"}) {
        ask(name, Urgency::kReadahead);
    }
    settle();
    EXPECT_THAT(order_, ElementsAre("a", "b", "c"));
    ask("reader", Urgency::kDemand);
    settle();
    EXPECT_THAT(order_, ElementsAre("a", "b", "c", "reader"));
    free(3);
    EXPECT_THAT(order_, ElementsAre("a", "b", "c", "reader")) << "the reader's slot is not readahead's";
    free(0);
    EXPECT_THAT(order_, ElementsAre("a", "b", "c", "reader", "d"));
}

TEST_F(HostSlotsTest, ReadersGoFirstButNotForEver)
{
    for (const auto* name : {"r1", "r2", "r3", "r4"}) {
        ask(name, Urgency::kDemand);
    }
    ask("ahead1", Urgency::kReadahead);
    ask("ahead2", Urgency::kReadahead);
    for (const auto* name : {"r5", "r6", "r7", "r8"}) {
        ask(name, Urgency::kDemand);
    }
    settle();
    order_.clear();
    for (std::size_t i = 0; i < 6; ++i) {
        free(i);
    }
    EXPECT_THAT(order_, ElementsAre("r5", "r6", "r7", "ahead1", "r8", "ahead2"));
}

TEST_F(HostSlotsTest, BackgroundHasHalfAndNeverPassesOthers)
{
    for (const auto* name : {"b1", "b2", "b3"}) {
        ask(name, Urgency::kBackground);
    }
    settle();
    EXPECT_THAT(order_, ElementsAre("b1", "b2"));
    ask("ahead1", Urgency::kReadahead);
    ask("ahead2", Urgency::kReadahead);
    ask("reader", Urgency::kDemand);
    settle();
    EXPECT_THAT(order_, ElementsAre("b1", "b2", "ahead1", "reader"));
    free(0);
    EXPECT_THAT(order_, ElementsAre("b1", "b2", "ahead1", "reader", "ahead2"));
    free(1);
    EXPECT_THAT(order_, ElementsAre("b1", "b2", "ahead1", "reader", "ahead2", "b3")) << "nobody else waits";
}

TEST_F(HostSlotsTest, WhoLeavesTheQueueIsNotWaitedFor)
{
    for (int i = 0; i < 4; ++i) {
        ask("held", Urgency::kDemand);
    }
    {
        TaskScope other{loop_};
        const auto wait = [this] { return slots_.acquire("registry.example", Urgency::kDemand); };

        struct Run {
            static Task<void> it(Task<HostSlots::Slot> wait) { (void)co_await wait; }
        };

        other.spawn(Run::it(wait()));
        settle();
    }
    ask("next", Urgency::kReadahead);
    settle();
    order_.clear();
    EXPECT_THAT(order_, IsEmpty());
    free(0);
    EXPECT_THAT(order_, ElementsAre("next"));
}

} // namespace
} // namespace sluice::fetcher
