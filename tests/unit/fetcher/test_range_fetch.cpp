// SPDX-License-Identifier: Apache-2.0
#include "fetcher/range_habits.hpp"
#include "tests/unit/fetcher/one_blob_fixture.hpp"

#include <gmock/gmock.h>
#include <list>

namespace sluice::fetcher {
namespace {

using test::FakeRegistry;
using test::Fault;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RangeFetch : public OneBlobTest {
protected:
    RangeFetch() : OneBlobTest{1'000'000} {}

    Error expect_failure(ByteRange range)
    {
        CollectingSink sink{range.begin()};
        auto outcome = fetch(blob, range, sink);
        EXPECT_FALSE(outcome) << "the fetch succeeded";
        EXPECT_TRUE(sink.bytes == content.substr(range.begin(), sink.bytes.size())) << "wrong bytes were delivered";
        return outcome ? Error{ErrorKind::kInternal, ""} : outcome.error();
    }
};

TEST_F(RangeFetch, AsksForExactlyTheRangeAndDeliversIt)
{
    expect_delivered({4096, 8192});
    EXPECT_THAT(asked_ranges(), ElementsAre("bytes=4096-8191"));
}

TEST_F(RangeFetch, ChunksEndAtMultiplesOfTheBufferSizeOrAtTheEnd)
{
    CollectingSink sink{4096};
    ASSERT_TRUE(fetch(blob, {4096, 3 * kBuffer + 100}, sink));
    EXPECT_THAT(sink.ends, ElementsAre(kBuffer, 2 * kBuffer, 3 * kBuffer, 3 * kBuffer + 100));
}

TEST_F(RangeFetch, OneConnectionServesManyRequests)
{
    for (std::uint64_t at = 0; at < 10 * kBuffer; at += kBuffer) {
        expect_delivered({at, at + kBuffer});
    }
    EXPECT_EQ(registry->connections(), 1U);
}

TEST_F(RangeFetch, ATruncatedBodyGoesOnBehindTheLastWholeBlock)
{
    registry->script("/blobs/", Fault{.truncate_after = kBuffer + 5000});
    expect_delivered({0, 3 * kBuffer});
    EXPECT_THAT(asked_ranges(), ElementsAre("bytes=0-196607", "bytes=69632-196607"));
    EXPECT_EQ(source().counters().retries, 1U);
}

TEST_F(RangeFetch, ABodyWithoutLengthThatEndsEarlyIsNoticed)
{
    registry->script("/blobs/", Fault{.truncate_after = 100, .no_length = true});
    expect_delivered({0, 8192});
    EXPECT_EQ(registry->requests().size(), 2U);
}

TEST_F(RangeFetch, AConnectionThatIsResetIsTriedAgain)
{
    registry->script("/blobs/", Fault{.reset = true}, 2);
    expect_delivered({0, 8192});
}

TEST_F(RangeFetch, AnAnswerThatIsNoHttpIsTriedAgain)
{
    registry->script("/blobs/", Fault{.garbage = true}, 2);
    expect_delivered({0, 8192});
    EXPECT_EQ(source().counters().retries, 2U);
}

TEST_F(RangeFetch, AServerErrorIsTriedAgainUntilTheTriesAreUsedUp)
{
    options.retry.tries = 3;
    registry->script("/blobs/", Fault{.status = 500}, 2);
    expect_delivered({0, 8192});
    registry->script("/blobs/", Fault{.status = 503}, FakeRegistry::kForever);
    const auto error = expect_failure({0, 8192});
    EXPECT_EQ(error.kind(), ErrorKind::kTransient);
    EXPECT_THAT(error.text(), HasSubstr("503 Service Unavailable"));
    EXPECT_EQ(registry->requests().size(), 6U);
}

TEST_F(RangeFetch, ATooManyRequestsIsObeyedWithinTheDeadline)
{
    registry->script("/blobs/", Fault{.status = 429, .headers = {"Retry-After: 0"}});
    expect_delivered({0, 8192});
    registry->script("/blobs/", Fault{.status = 429, .headers = {"Retry-After: 50"}});
    const auto error = expect_failure({0, 8192}); // 50 s would be past the deadline: no use in waiting
    EXPECT_EQ(error.kind(), ErrorKind::kTimeout);
    EXPECT_THAT(error.text(), HasSubstr("asked again in 50 s"));
    EXPECT_EQ(registry->requests().size(), 3U);
}

TEST_F(RangeFetch, ADateToAskAgainAtIsMeantByTheServersClock)
{
    registry->script(
        "/blobs/",
        Fault{
            .status = 503,
            .headers = {"Date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sun, 06 Nov 1994 09:49:37 GMT"}}
    );
    const auto error = expect_failure({0, 8192});
    EXPECT_EQ(error.kind(), ErrorKind::kTimeout);
    EXPECT_THAT(error.text(), HasSubstr("asked again in 3600 s"));
    registry->script(
        "/blobs/",
        Fault{
            .status = 503,
            .headers = {"Date: Sun, 06 Nov 2094 08:49:37 GMT", "Retry-After: Sun, 06 Nov 2094 08:49:37 GMT"}}
    );
    expect_delivered({0, 8192});
}

TEST_F(RangeFetch, OfABodyThatIsTooLongTheRightPartIsTakenAndTheConnectionIsDropped)
{
    registry->script("/blobs/", Fault{.extra = 5000});
    expect_delivered({4096, 12'288});
    registry->script("/blobs/", Fault{.extra = 5 * kBuffer});
    expect_delivered({4096, 12'288});
    expect_delivered({4096, 12'288});
    EXPECT_EQ(registry->connections(), 3U);
    EXPECT_EQ(source().counters().retries, 0U);
}

TEST_F(RangeFetch, AMissingBlobIsNotAskedForTwice)
{
    blob.digest = fake_sha256({});
    const auto error = expect_failure({0, 8192});
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    EXPECT_THAT(error.text(), HasSubstr("team/app"));
    EXPECT_THAT(error.text(), HasSubstr("404 Not Found: BLOB_UNKNOWN"));
    EXPECT_EQ(registry->requests().size(), 1U);
}

TEST_F(RangeFetch, AWrongContentRangeIsRefusedBeforeAnythingIsDelivered)
{
    for (const auto* wrong :
         {"bytes 0-8190/1000000", "bytes 4096-12287/1000000", "bytes 0-8191/999999", "bytes 0-8191/*", ""}) {
        registry->script("/blobs/", Fault{.content_range = wrong});
        CollectingSink sink{0};
        const auto outcome = fetch(blob, {0, 8192}, sink);
        ASSERT_FALSE(outcome) << wrong;
        EXPECT_EQ(outcome.error().kind(), ErrorKind::kCorrupt) << wrong;
        EXPECT_TRUE(sink.bytes.empty()) << wrong;
    }
}

TEST_F(RangeFetch, ABlobOfAnotherSizeIsRefused)
{
    blob.size += 1;
    EXPECT_EQ(expect_failure({0, 8192}).kind(), ErrorKind::kCorrupt);
    registry->script("/blobs/", Fault{.ignore_range = true});
    EXPECT_EQ(expect_failure({0, 8192}).kind(), ErrorKind::kCorrupt);
}

TEST_F(RangeFetch, AnAnswerThatIgnoresRangeIsSkippedThroughAndStopped)
{
    registry->script("/blobs/", Fault{.ignore_range = true}, 2);
    expect_delivered({100 * 4096, 110 * 4096});
    expect_delivered({0, content.size()});
}

TEST_F(RangeFetch, AnAnswerThatIgnoresRangeIsRefusedWhenTheWayIsTooLong)
{
    auto now = SteadyClock::now();
    options.now = [&now] { return now; };
    options.max_skip = 100'000;
    registry->script("/blobs/", Fault{.ignore_range = true}, FakeRegistry::kForever);
    EXPECT_EQ(expect_failure({200'704, 204'800}).kind(), ErrorKind::kUnsupported);
    EXPECT_EQ(expect_failure({200'704, 204'800}).kind(), ErrorKind::kUnsupported);
    EXPECT_EQ(registry->requests().size(), 3U) << "the host is known to ignore Range";
    expect_delivered({4096, 8192});
    registry->clear_scripts();
    now += milliseconds{1000};
    expect_delivered({200'704, 204'800}); // and given another chance
}

TEST_F(RangeFetch, OneAnswerThatIgnoresRangeSaysNothingOfTheNext)
{
    options.max_skip = 100'000;
    for (int i = 0; i < 5; ++i) {
        registry->script("/blobs/", Fault{.ignore_range = true}, 2);
        expect_delivered({200'704, 204'800});
    }
    EXPECT_EQ(registry->requests().size(), 15U);
}

TEST_F(RangeFetch, OneBadMomentThatMeetsManyFetchesSaysNothingOfTheNext)
{
    options.max_skip = 100'000;
    constexpr int kFetches = 3;
    registry->script("/blobs/", Fault{.ignore_range = true, .hold = true}, kFetches);
    std::list<CollectingSink> sinks;
    int succeeded = 0;
    TaskScope scope{*loop};
    for (int i = 0; i < kFetches; ++i) {
        auto& sink = sinks.emplace_back(200'704);
        scope.spawn(
            count_success(source().blobs(blob.repository).fetch(blob, {200'704, 204'800}, sink, deadline()), succeeded)
        );
    }
    ASSERT_TRUE(test::run_until(*loop, [&] { return registry->held() == kFetches; }));
    registry->release();
    ASSERT_TRUE(test::run_until(*loop, [&] { return scope.empty(); }));
    EXPECT_EQ(succeeded, kFetches);
}

TEST(RangeHabits, AnswersToWhatWasAskedBeforeALapseWasKnownAreTheSameLapse)
{
    constexpr milliseconds kStep{1};
    const TimePoint begin{std::chrono::hours{1}};
    RangeHabits habits;
    for (int i = 1; i <= 5; ++i) {
        habits.ignored("r", begin, begin + i * kStep);
    }
    EXPECT_FALSE(habits.ignores("r", begin + 5 * kStep));
    habits.ignored("r", begin + 5 * kStep, begin + 6 * kStep);
    EXPECT_FALSE(habits.ignores("r", begin + 6 * kStep));
    habits.ignored("r", begin + 6 * kStep, begin + 7 * kStep);
    EXPECT_TRUE(habits.ignores("r", begin + 7 * kStep)) << "three, one after the other";
}

TEST_F(RangeFetch, BytesThatTrickleArriveAllTheSame)
{
    registry->script("/blobs/", Fault{.trickle = 1000});
    expect_delivered({0, 16'384});
}

TEST_F(RangeFetch, AHangingServerEndsWithTheDeadline)
{
    patience = milliseconds{100};
    registry->script("/blobs/", Fault{.hang = true});
    EXPECT_EQ(expect_failure({0, 8192}).kind(), ErrorKind::kTimeout);
    patience = milliseconds{20'000};
    expect_delivered({0, 8192});
}

TEST_F(RangeFetch, ARegistryThatIsGoneIsNamed)
{
    options.retry.tries = 2;
    (void)source();
    const auto host = registry->host();
    registry.reset();
    const auto error = expect_failure({0, 8192});
    EXPECT_EQ(error.kind(), ErrorKind::kTransient);
    EXPECT_THAT(error.text(), HasSubstr(host));
    registry.emplace(&fake_sha256);
}

TEST_F(RangeFetch, DestroyingTheTaskCancelsTheTransfer)
{
    registry->script("/blobs/", Fault{.hold = true}, FakeRegistry::kForever);
    CollectingSink sink{0};
    {
        TaskScope scope{*loop};

        struct Run {
            static Task<void> it(Task<Result<void>> fetch) { (void)co_await fetch; }
        };

        scope.spawn(Run::it(source().blobs(blob.repository).fetch(blob, {0, 8192}, sink, deadline())));
        ASSERT_TRUE(test::run_until(*loop, [&] { return registry->held() == 1; }));
    }
    registry->release();
    expect_delivered({0, 8192});
    EXPECT_TRUE(sink.bytes.empty());
}

/// Cancels its own fetch from inside on_chunk().
class CancellingSink final : public ChunkSink {
public:
    void on_chunk(std::uint64_t, AlignedBuffer) override
    {
        ++chunks;
        scope->cancel_all();
    }

    TaskScope* scope = nullptr;
    int chunks = 0;
};

TEST_F(RangeFetch, ASinkMayCancelWhileItIsGivenAChunk)
{
    CancellingSink sink;
    TaskScope scope{*loop};
    sink.scope = &scope;

    struct Run {
        static Task<void> it(Task<Result<void>> fetch) { (void)co_await fetch; }
    };

    scope.spawn(Run::it(source().blobs(blob.repository).fetch(blob, {0, 10 * kBuffer}, sink, deadline())));
    ASSERT_TRUE(test::run_until(*loop, [&] { return sink.chunks > 0; }));
    EXPECT_EQ(sink.chunks, 1);
    expect_delivered({0, 8192});
}

TEST_F(RangeFetch, OnlySoManyTransfersRunAtOnce)
{
    constexpr int kFetches = 1000;
    options.http.connections_per_host = 4;
    registry->script("/blobs/", Fault{.hold = true}, 4);
    std::vector<std::unique_ptr<CollectingSink>> sinks;
    int succeeded = 0;
    TaskScope scope{*loop};

    for (int i = 0; i < kFetches; ++i) {
        sinks.push_back(std::make_unique<CollectingSink>(0));
        scope.spawn(
            count_success(source().blobs(blob.repository).fetch(blob, {0, 4096}, *sinks.back(), deadline()), succeeded)
        );
    }
    ASSERT_TRUE(test::run_until(*loop, [&] { return registry->held() == 4; }));
    EXPECT_EQ(registry->requests().size(), 4U);
    registry->release();
    ASSERT_TRUE(test::run_until(*loop, [&] { return scope.empty(); }));
    EXPECT_EQ(succeeded, kFetches);
    EXPECT_LE(registry->connections(), 4U);
}

} // namespace
} // namespace sluice::fetcher
