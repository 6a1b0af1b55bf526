// SPDX-License-Identifier: Apache-2.0
//
// Several wait for one fetch, and it ends with the deadline of the first: who has more time is not failed by that.
#include "fetcher/registry_options.hpp"
#include "tests/support/fill_world.hpp"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <iterator>
#include <list>
#include <vector>

namespace sluice::daemon {
namespace {

using std::chrono::hours;

const Error kTooLate{ErrorKind::kTimeout, "429 Too Many Requests; it wants to be asked again after the deadline"};

/// What is left of the first asker's deadline is long enough for nobody to take the end for its last moments, and short
/// enough to wait for.
constexpr milliseconds kFirst{700};
constexpr milliseconds kWish{800};

TEST(NextChance, AFetchThatGaveUpAtItsLastTryEndedWithItsDeadline)
{
    for (const auto& policy : {fetcher::RegistryOptions{}.retry, fetcher::MirrorOptions{}.rounds}) {
        const fetcher::FetchTerms terms{Deadline::after(2 * policy.first)}; // with less, no further try is made
        EXPECT_TRUE(next_chance(kTooLate, terms));
        EXPECT_FALSE(next_chance(Error{ErrorKind::kDenied, "no"}, terms));
    }
    EXPECT_FALSE(next_chance(kTooLate, fetcher::FetchTerms{Deadline::after(hours{1})}));
}

TEST(NextChance, ComesWhenTheRegistryWishes)
{
    fetcher::FetchNote note;
    fetcher::FetchTerms terms{Deadline::after(hours{1})};
    terms.note = &note;
    note.retry_after = milliseconds{1000};
    EXPECT_FALSE(next_chance(kTooLate, terms)) << "there was time for that: something else has ended it";
    note.retry_after = hours{2};
    const auto again = next_chance(kTooLate, terms);
    ASSERT_TRUE(again);
    EXPECT_GE(again->when(), terms.deadline.when() + hours{1} - milliseconds{1});
}

/// The source refuses the first fetch, and wishes to be asked later.
struct RefusingWorld : test::FillWorld {
    explicit RefusingWorld(milliseconds wish) : FillWorld{64}
    {
        source.retry_after = wish;
        source.fault = [this](const fetcher::BlobLocation&, ByteRange) {
            asked.push_back(SteadyClock::now());
            return asked.size() == 1 ? std::optional{kTooLate} : std::nullopt;
        };
    }

    /// So that all fetches are of data.
    void load_tree()
    {
        source.fault.swap(spared);
        EXPECT_TRUE(wait_for(read({65536, 69632})));
        source.fault.swap(spared);
    }

    MessageId read_within(milliseconds deadline)
    {
        policy.read_deadline = deadline;
        return read({4096, 8192});
    }

    std::vector<TimePoint> asked;
    std::function<std::optional<Error>(const fetcher::BlobLocation&, ByteRange)> spared;
};

TEST(Joiners, WhoHasTheTimeIsServedWhenTheRegistryWantsToBeAskedAgain)
{
    RefusingWorld world{kWish};
    world.load_tree();
    world.source.hold();
    const auto first = world.read_within(kFirst);
    std::vector<MessageId> others;
    std::generate_n(std::back_inserter(others), 5, [&] { return world.read_within(hours{1}); });
    world.source.release();
    ASSERT_TRUE(world.wait_for(first));
    EXPECT_EQ(world.answers.at(first).error().kind(), ErrorKind::kTimeout);
    others.push_back(world.read_within(hours{1})); // comes while the others wait
    for (const auto other : others) {
        ASSERT_TRUE(world.wait_for(other));
        EXPECT_TRUE(world.answers.at(other)) << world.answers.at(other).error().text();
    }
    ASSERT_EQ(world.asked.size(), 2U) << "one more request for all of them";
    EXPECT_GE(world.asked.at(1) - world.asked.at(0), kWish);
}

TEST(Joiners, WhoDoesNotHaveTheTimeIsToldAtOnceAndWhy)
{
    RefusingWorld world{hours{2}};
    world.load_tree();
    world.source.hold();
    const auto first = world.read_within(hours{1});
    const auto second = world.read_within(hours{1});
    const auto patient = world.read_within(hours{3});
    world.source.release();
    for (const auto hasty : {first, second}) {
        ASSERT_TRUE(world.wait_for(hasty));
        EXPECT_EQ(world.answers.at(hasty).error().text(), kTooLate.text());
    }
    EXPECT_FALSE(world.answered(patient));
    EXPECT_EQ(world.asked.size(), 1U);
}

TEST(Joiners, NobodyIsAskedAgainWhenNobodyHasTheTime)
{
    RefusingWorld world{hours{2}};
    world.load_tree();
    world.source.hold();
    const auto first = world.read_within(hours{1});
    const auto second = world.read_within(hours{1});
    world.source.release();
    ASSERT_TRUE(world.wait_for(first));
    ASSERT_TRUE(world.wait_for(second));
    EXPECT_EQ(world.asked.size(), 1U);
    EXPECT_EQ(world.filler->bytes_in_flight(), 0U);
}

/// One who waits for the top of the hash tree.
struct Preparing {
    Preparing(EventLoop& loop, BlobTree& tree, Deadline deadline) : scope{loop}
    {
        scope.spawn(run(tree, deadline, outcome));
    }

    static Task<void> run(BlobTree& tree, Deadline deadline, std::optional<Result<void>>& outcome)
    {
        const ByteRange first{0, kBlockSize};
        auto prepared = co_await tree.prepare(first, deadline);
        outcome = std::move(prepared);
    }

    std::optional<Result<void>> outcome;
    TaskScope scope; // last: its task touches the above
};

TEST(Joiners, OfALoadOfTheHashTreeHaveTheirOwnTimeToo)
{
    RefusingWorld world{kWish};
    world.source.hold();
    Preparing first{world.loop, *world.tree, Deadline::after(kFirst)};
    std::list<Preparing> others;
    for (int i = 0; i < 5; ++i) {
        others.emplace_back(world.loop, *world.tree, Deadline::after(hours{1}));
    }
    ASSERT_TRUE(test::run_until(world.loop, [&] { return world.source.running == 1; }));
    world.source.release();
    ASSERT_TRUE(test::run_until(world.loop, [&] { return first.outcome.has_value(); }));
    EXPECT_EQ(first.outcome->error().kind(), ErrorKind::kTimeout);
    others.emplace_back(world.loop, *world.tree, Deadline::after(hours{1})); // comes while the others wait
    for (auto& other : others) {
        ASSERT_TRUE(test::run_until(world.loop, [&] { return other.outcome.has_value(); }));
        EXPECT_TRUE(*other.outcome) << other.outcome->error().text();
    }
    ASSERT_EQ(world.asked.size(), 2U) << "one more request for all of them";
    EXPECT_GE(world.asked.at(1) - world.asked.at(0), kWish);
}

} // namespace
} // namespace sluice::daemon
