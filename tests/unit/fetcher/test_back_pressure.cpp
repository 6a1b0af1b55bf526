// SPDX-License-Identifier: Apache-2.0
#include "fetcher/buffer_gate.hpp"
#include "tests/unit/fetcher/fetch_fixture.hpp"

#include <gmock/gmock.h>

namespace sluice::fetcher {
namespace {

using ::testing::ElementsAre;

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
    scope.spawn(Run::it(source().blobs(blob.repository).fetch(blob, {0, content.size()}, sink, deadline()), succeeded));
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
        scope.spawn(Run::it(source().blobs(blob.repository).fetch(blob, range, *sinks.back(), deadline()), succeeded));
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
        scope.spawn(
            Run::it(source().blobs(blob.repository).fetch(blob, {0, content.size()}, hoarder, deadline()), succeeded)
        );
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

class BufferGateTest : public ::testing::Test {
protected:
    /// Takes a buffer as soon as there is one, notes `name`, and keeps it.
    void ask(const std::string& name, Urgency urgency)
    {
        struct Ask {
            static Task<void> it(BufferGateTest& test, std::string name, Urgency urgency)
            {
                auto buffer = co_await test.gate_.take(urgency);
                test.order_.push_back(name);
                test.held_.push_back(std::move(buffer));
            }
        };

        scope_.spawn(Ask::it(*this, name, urgency));
        settle();
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
    BufferPool pool_{4 * kBlockSize, kBlockSize};
    BufferGate gate_{loop_, pool_};
    std::vector<std::string> order_;
    std::vector<AlignedBuffer> held_;
    TaskScope scope_{loop_};
};

TEST_F(BufferGateTest, AQuarterIsForDemandOnly)
{
    for (const auto* name : {"a1", "a2", "a3", "a4"}) {
        ask(name, Urgency::kReadahead);
    }
    EXPECT_THAT(order_, ElementsAre("a1", "a2", "a3"));
    ask("reader", Urgency::kDemand);
    EXPECT_THAT(order_, ElementsAre("a1", "a2", "a3", "reader"));
    free(3);
    EXPECT_THAT(order_, ElementsAre("a1", "a2", "a3", "reader")) << "the reader's buffer is not readahead's";
    free(0);
    EXPECT_THAT(order_, ElementsAre("a1", "a2", "a3", "reader", "a4"));
}

TEST_F(BufferGateTest, TheMostUrgentOfThoseWhoWaitIsFirst)
{
    for (const auto* name : {"r1", "r2", "r3", "r4"}) {
        ask(name, Urgency::kDemand);
    }
    ask("background", Urgency::kBackground);
    ask("ahead", Urgency::kReadahead);
    ask("r5", Urgency::kDemand);
    order_.clear();
    for (std::size_t i = 0; i < 4; ++i) {
        free(i);
    }
    EXPECT_THAT(order_, ElementsAre("r5", "ahead", "background"));
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
