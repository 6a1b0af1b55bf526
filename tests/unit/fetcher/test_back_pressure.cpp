// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fetcher/fetch_fixture.hpp"

namespace sluice::fetcher {
namespace {

struct Run {
    static Task<void> it(Task<Result<void>> fetch, int& succeeded)
    {
        const auto outcome = co_await fetch;
        succeeded += outcome ? 1 : 0;
    }
};

/// A pool of two buffers.
class BackPressure : public FetchTest {
protected:
    BackPressure() { pool_budget = 2 * kBuffer; }

    std::string content = pattern(16 * kBuffer);
    int succeeded = 0;
};

TEST_F(BackPressure, AnEmptyPoolPausesAndAReturnedBufferResumes)
{
    const auto blob = add_blob(content);
    CollectingSink sink{0};
    sink.keep = true;
    TaskScope scope{*loop};
    scope.spawn(Run::it(source().fetch(blob, {0, content.size()}, sink, deadline()), succeeded));
    while (!scope.empty()) {
        ASSERT_TRUE(test::run_until(*loop, [&] { return sink.kept.size() == 2 || scope.empty(); }));
        EXPECT_LE(pool->bytes_taken(), 2 * kBuffer);
        sink.kept.clear();
    }
    EXPECT_EQ(succeeded, 1);
    EXPECT_TRUE(sink.bytes == content);
}

TEST_F(BackPressure, ManyTransfersShareTwoBuffers)
{
    const auto blob = add_blob(content);
    constexpr std::size_t kFetches = 40;
    std::vector<std::unique_ptr<CollectingSink>> sinks;
    TaskScope scope{*loop};
    for (std::size_t i = 0; i < kFetches; ++i) {
        const ByteRange range{(i % 8) * 1000, 8 * kBuffer + i * 777};
        sinks.push_back(std::make_unique<CollectingSink>(range.begin()));
        scope.spawn(Run::it(source().fetch(blob, range, *sinks.back(), deadline()), succeeded));
    }
    ASSERT_TRUE(test::run_until(*loop, [&] { return scope.empty(); }));
    EXPECT_EQ(succeeded, static_cast<int>(kFetches));
    for (std::size_t i = 0; i < kFetches; ++i) {
        EXPECT_TRUE(sinks[i]->bytes == content.substr((i % 8) * 1000, 8 * kBuffer + i * 777 - (i % 8) * 1000)) << i;
    }
    EXPECT_EQ(pool->bytes_taken(), 0U);
}

TEST_F(BackPressure, CancellingAPausedTransferGivesAllBack)
{
    const auto blob = add_blob(content);
    CollectingSink hoarder{0};
    hoarder.keep = true;
    {
        TaskScope scope{*loop};
        scope.spawn(Run::it(source().fetch(blob, {0, content.size()}, hoarder, deadline()), succeeded));
        ASSERT_TRUE(test::run_until(*loop, [&] { return hoarder.kept.size() == 2; }));
        // Lets it run into the empty pool.
        for (int i = 0; i < 20; ++i) {
            loop->run_once(milliseconds{1});
        }
    }
    hoarder.kept.clear();
    EXPECT_EQ(pool->bytes_taken(), 0U);
    CollectingSink sink{0};
    ASSERT_TRUE(fetch(blob, {0, content.size()}, sink));
    EXPECT_TRUE(sink.bytes == content);
}

TEST_F(BackPressure, TheDeadlineHoldsWhilePaused)
{
    const auto blob = add_blob(content);
    CollectingSink hoarder{0};
    hoarder.keep = true;
    patience = milliseconds{150};
    const auto outcome = fetch(blob, {0, content.size()}, hoarder);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kTimeout);
    hoarder.kept.clear();
}

} // namespace
} // namespace sluice::fetcher
