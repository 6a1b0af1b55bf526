// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/catalogue.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"

#include <gmock/gmock.h>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;

/// What a prepare() has come to.
struct Preparing {
    Preparing(EventLoop& loop, std::shared_ptr<BlobTree> tree, Deadline deadline) : scope{loop}
    {
        scope.spawn(run(std::move(tree), deadline, outcome));
    }

    static Task<void> run(std::shared_ptr<BlobTree> tree, Deadline deadline, std::optional<Result<void>>& outcome)
    {
        const ByteRange first{0, kBlockSize};
        auto prepared = co_await tree->prepare(first, deadline);
        outcome = std::move(prepared);
    }

    std::optional<Result<void>> outcome;
    TaskScope scope; // last: its task touches the above
};

class BlobTreeTest : public ::testing::Test {
protected:
    BlobTreeTest() { source_.add(blob_); }

    EventLoop loop_;
    BufferPool buffers_{1 << 20, 64 * 1024};
    WorkerPool workers_{1};
    test::FakeSource source_{loop_, buffers_};
    Counters counters_;
    FillServices services_{loop_, workers_, source_, nullptr, counters_};
    Catalogue catalogue_{services_};
    test::FakeBlob blob_{64}; // its tree is one block
    Deadline far_ = Deadline::after(std::chrono::hours{1});
};

TEST_F(BlobTreeTest, AnotherImageMayBringItsRepositoryWhileALoadTriesTheKnownOnes)
{
    // Long enough to lie on the heap: what is freed under the load is seen by the address sanitizer.
    const std::string first = "mirror.test/a-repository-that-no-longer-has-the-blob";
    const std::string second = "registry.test/the-repository-that-still-has-the-blob";
    auto info = blob_.info;
    info.repositories = {first, second};
    const auto tree = catalogue_.add(info);
    ASSERT_TRUE(tree);
    std::vector<std::string> asked;
    source_.fault = [&](const fetcher::BlobLocation& where, ByteRange) {
        asked.push_back(where.repository);
        return where.repository == second ? std::nullopt : std::optional{Error{ErrorKind::kNotFound, "not here"}};
    };
    source_.hold();
    Preparing load{loop_, *tree, far_};
    ASSERT_TRUE(test::run_until(loop_, [&] { return source_.running == 1; }));

    auto elsewhere = blob_.info;
    elsewhere.repositories = {"other.test/an-image-that-was-registered-meanwhile", "yet-another.test/app"};
    ASSERT_TRUE(catalogue_.add(elsewhere));
    source_.release();
    ASSERT_TRUE(test::run_until(loop_, [&] { return load.outcome.has_value(); }));
    EXPECT_TRUE(*load.outcome) << load.outcome->error().text();
    EXPECT_THAT(asked, ElementsAre(first, second));
}

TEST_F(BlobTreeTest, WhoJoinsALoadThatRunsOutOfTimeStillHasItsOwn)
{
    const auto tree = catalogue_.add(blob_.info);
    ASSERT_TRUE(tree);
    unsigned loads = 0;
    source_.fault = [&](auto&, ByteRange) {
        return ++loads == 1 ? std::optional{Error{ErrorKind::kTimeout, "too slow"}} : std::nullopt;
    };
    source_.hold();
    Preparing early{loop_, *tree, Deadline::after(milliseconds{0})};
    Preparing late{loop_, *tree, far_};
    ASSERT_TRUE(test::run_until(loop_, [&] { return source_.running == 1; }));
    source_.release();
    ASSERT_TRUE(test::run_until(loop_, [&] { return early.outcome && late.outcome; }));
    ASSERT_FALSE(*early.outcome);
    EXPECT_EQ(early.outcome->error().kind(), ErrorKind::kTimeout);
    EXPECT_TRUE(*late.outcome) << late.outcome->error().text();
    EXPECT_EQ(loads, 2U);
}

TEST_F(BlobTreeTest, ALoadOfOnesOwnThatTimesOutIsNotRepeated)
{
    const auto tree = catalogue_.add(blob_.info);
    ASSERT_TRUE(tree);
    unsigned loads = 0;
    source_.fault = [&](auto&, ByteRange) {
        ++loads;
        return std::optional{Error{ErrorKind::kTimeout, "too slow"}};
    };
    Preparing load{loop_, *tree, far_};
    ASSERT_TRUE(test::run_until(loop_, [&] { return load.outcome.has_value(); }));
    EXPECT_FALSE(*load.outcome);
    EXPECT_EQ(loads, 1U);
}

} // namespace
} // namespace sluice::daemon
