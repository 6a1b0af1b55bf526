// SPDX-License-Identifier: Apache-2.0
//
// What passes by itself must not fail a reader: a registry that is started anew, a line that breaks, a slow one.
#include "tests/unit/fetcher/one_blob_fixture.hpp"

#include <gmock/gmock.h>

namespace sluice::fetcher {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using test::FakeRegistry;
using test::Fault;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TransientFaults : public OneBlobTest {
protected:
    TransientFaults() : OneBlobTest{1'000'000} {}
};

TEST_F(TransientFaults, ManyMoreThanAFewFailuresAreOutlasted)
{
    registry->script("/blobs/", Fault{.status = 502}, 50);
    expect_delivered({0, 8192});
    registry->script("/blobs/", Fault{.reset = true}, 50);
    expect_delivered({0, 8192});
    EXPECT_GE(
        source().counters().retries, 99U
    ); // one that failed on a connection from before libcurl repeats by itself
}

TEST_F(TransientFaults, TheDefaultPolicyHasAsManyTriesAsTheDeadlineHasRoomFor)
{
    const RegistryOptions fresh;
    EXPECT_TRUE(backoff_delay(fresh.retry, 1'000'000, std::nullopt, 0));
    EXPECT_LE(*backoff_delay(fresh.retry, 1'000'000, std::nullopt, ~0U), milliseconds{2000});
}

TEST_F(TransientFaults, ManifestsOutlastThemToo)
{
    registry->add_manifest("team/app", "v1", "application/vnd.oci.image.manifest.v1+json", "{}");
    registry->script("/manifests/", Fault{.status = 503}, 50);
    const auto raw = test::run_task(*loop, images().fetch_manifest(repository(), "v1", deadline()));
    ASSERT_TRUE(raw && *raw) << (*raw).error().text();
}

TEST_F(TransientFaults, ATokenServerThatIsDownForAWhileIsOutlasted)
{
    registry->require_bearer();
    registry->script("/token", Fault{.status = 502}, 50);
    expect_delivered({0, 8192});
}

TEST_F(TransientFaults, TheDeadlineEndsItAndTheTextSaysWhatWentWrong)
{
    patience = milliseconds{100};
    registry->script("/blobs/", Fault{.status = 502}, FakeRegistry::kForever);
    CollectingSink sink{0};
    const auto outcome = fetch(blob, {0, 8192}, sink);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kTimeout) << "who waits longer may go on";
    EXPECT_THAT(outcome.error().text(), HasSubstr("502 Bad Gateway"));
    EXPECT_THAT(outcome.error().text(), HasSubstr(registry->host()));
}

TEST_F(TransientFaults, AHangAfterFailuresStillTellsOfThem)
{
    patience = milliseconds{200};
    registry->require_bearer();
    registry->script("/token", Fault{.status = 502});
    registry->script("/token", Fault{.hang = true}, FakeRegistry::kForever);
    CollectingSink sink{0};
    const auto outcome = fetch(blob, {0, 8192}, sink);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kTimeout);
    EXPECT_THAT(outcome.error().text(), HasSubstr("502 Bad Gateway"));
}

TEST_F(TransientFaults, ALineThatBreaksEachTimeAfterSomeBlocksGetsThereAllTheSame)
{
    options.retry.tries = 2; // progress counts anew
    registry->script("/blobs/", Fault{.truncate_after = 50'000}, FakeRegistry::kForever);
    expect_delivered({0, 200'000});
    EXPECT_THAT(
        asked_ranges(),
        ElementsAre(
            "bytes=0-199999", "bytes=49152-199999", "bytes=98304-199999", "bytes=147456-199999", "bytes=196608-199999"
        )
    );
}

TEST_F(TransientFaults, WhatBreaksWithinABlockBeginsItAnew)
{
    registry->script("/blobs/", Fault{.truncate_after = 4095});
    registry->script("/blobs/", Fault{.truncate_after = 8192});
    expect_delivered({0, 100'000});
    EXPECT_THAT(asked_ranges(), ElementsAre("bytes=0-99999", "bytes=0-99999", "bytes=8192-99999"));
}

TEST_F(TransientFaults, OneAttemptIsOneAttempt)
{
    registry->script("/blobs/", Fault{.status = 503, .headers = {"Retry-After: 7"}});
    CollectingSink sink{0};
    FetchNote note;
    FetchTerms terms{deadline()};
    terms.once = true;
    terms.note = &note;
    const auto outcome = *test::run_task(*loop, source().blobs(blob.repository).fetch(blob, {0, 8192}, sink, terms));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kTransient);
    EXPECT_EQ(registry->requests().size(), 1U);
    EXPECT_TRUE(note.asked);
    EXPECT_EQ(note.retry_after, milliseconds{7000});
}

TEST_F(TransientFaults, AShortRetryAfterIsNoReasonToGiveUpEarly)
{
    options.retry = {.first = milliseconds{100}, .longest = hours{2}, .tries = 1000};
    auto& session = source().session();
    const Error busy{ErrorKind::kTransient, "busy"};
    constexpr unsigned kMany = 30; // the pause would be an hour or more
    for (const auto wish : {milliseconds{0}, milliseconds{1000}}) {
        const auto delay = session.next_try(busy, kMany, wish, Deadline::after(minutes{30}));
        ASSERT_TRUE(delay) << delay.error().text();
        EXPECT_GE(*delay, wish);
        EXPECT_LE(*delay, minutes{15});
    }
    const auto floor = session.next_try(busy, kMany, minutes{20}, Deadline::after(minutes{30}));
    ASSERT_TRUE(floor) << floor.error().text();
    EXPECT_EQ(*floor, minutes{20});
    const auto late = session.next_try(busy, kMany, minutes{31}, Deadline::after(minutes{30}));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().kind(), ErrorKind::kTimeout);
    EXPECT_THAT(late.error().text(), HasSubstr("again in 1860 s, which is after the deadline"));
}

TEST_F(TransientFaults, ProgressAndNotSizeDecidesWhereAStallTimeIsSet)
{
    registry->script("/blobs/", Fault{.trickle = 1000});
    CollectingSink sink{0};
    const FetchTerms terms{Deadline::after(milliseconds{20}), Urgency::kBackground, milliseconds{5000}};
    const auto outcome = *test::run_task(*loop, source().blobs(blob.repository).fetch(blob, {0, 200'000}, sink, terms));
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_TRUE(sink.bytes == content.substr(0, 200'000));
}

TEST_F(TransientFaults, NoProgressEndsItWhereAStallTimeIsSet)
{
    registry->script("/blobs/", Fault{.hang = true}, FakeRegistry::kForever);
    CollectingSink sink{0};
    const FetchTerms terms{Deadline::after(milliseconds{0}), Urgency::kBackground, milliseconds{50}};
    const auto outcome = *test::run_task(*loop, source().blobs(blob.repository).fetch(blob, {0, 200'000}, sink, terms));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kTimeout);
}

} // namespace
} // namespace sluice::fetcher
