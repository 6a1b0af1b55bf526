// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/blob_tree.hpp"
#include "daemon/blob/tree_budget.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/only.hpp"

#include <gmock/gmock.h>

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;

/// What a prepare() has come to.
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

class BlobTreeTest : public ::testing::Test {
protected:
    BlobTreeTest() { source_.add(blob_); }

    EventLoop loop_;
    BufferPool buffers_{1 << 20, 64 * 1024};
    WorkerPool workers_{1};
    test::FakeSource source_{loop_, buffers_};
    Counters counters_;
    TreeBudget budget_{16U << 20};
    fetcher::MirrorSet mirrors_{loop_, test::only(source_)};
    FillServices services_{loop_, workers_, mirrors_, nullptr, counters_, budget_};
    test::FakeBlob blob_{64}; // its tree is one block
    Deadline far_ = Deadline::after(std::chrono::hours{1});
};

TEST_F(BlobTreeTest, ABadHashTreeAtOneRepositoryIsThatRepositorysFaultAndTheNextIsAsked)
{
    blob_.info.repositories = {"tampered.test/app", "registry.test/app"};
    const auto tree = BlobTree::make(services_, blob_.info);
    ASSERT_TRUE(tree);
    bool tampered = false;
    source_.fault = [&](const fetcher::BlobLocation& where, ByteRange) -> std::optional<Error> {
        tampered = where.repository.starts_with("tampered");
        return std::nullopt;
    };
    source_.tamper = [&](std::uint64_t, std::span<std::byte> bytes) {
        if (tampered) {
            bytes.front() ^= std::byte{1};
        }
    };
    Preparing load{loop_, **tree, far_};
    ASSERT_TRUE(test::run_until(loop_, [&] { return load.outcome.has_value(); }));
    EXPECT_TRUE(*load.outcome) << load.outcome->error().text();
    EXPECT_EQ(counters_.verify_failures, 1U);
}

TEST_F(BlobTreeTest, ATreeThatIsBadEverywhereIsCorruptAndTheErrorNamesTheRepository)
{
    const auto tree = BlobTree::make(services_, blob_.info);
    ASSERT_TRUE(tree);
    source_.tamper = [&](std::uint64_t, std::span<std::byte> bytes) { bytes.front() ^= std::byte{1}; };
    Preparing load{loop_, **tree, far_};
    ASSERT_TRUE(test::run_until(loop_, [&] { return load.outcome.has_value(); }));
    ASSERT_FALSE(*load.outcome);
    EXPECT_EQ(load.outcome->error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(load.outcome->error().text(), ::testing::HasSubstr("from registry.test/app"));
}

TEST_F(BlobTreeTest, AllTreesTogetherStayWithinTheirBudget)
{
    const test::FakeBlob other{std::uint64_t{3} * 128}; // its leaves are three blocks, under one more
    source_.add(other);
    TreeBudget budget{4 * kBlockSize};
    FillServices services{loop_, workers_, mirrors_, nullptr, counters_, budget};
    const auto first = BlobTree::make(services, blob_.info).value();
    const auto second = BlobTree::make(services, other.info).value();
    for (auto* tree : {first.get(), second.get(), first.get()}) {
        Preparing load{loop_, *tree, far_};
        ASSERT_TRUE(test::run_until(loop_, [&] { return load.outcome.has_value(); }));
        ASSERT_TRUE(*load.outcome) << load.outcome->error().text();
        EXPECT_TRUE(tree->expected({0, kBlockSize}));
        EXPECT_LE(budget.held(), 4 * kBlockSize);
        EXPECT_EQ(budget.held(), first->memory() + second->memory());
    }
}

TEST_F(BlobTreeTest, ATreeThatIsGoneNoLongerCounts)
{
    {
        const auto tree = BlobTree::make(services_, blob_.info).value();
        Preparing load{loop_, *tree, far_};
        ASSERT_TRUE(test::run_until(loop_, [&] { return load.outcome.has_value(); }));
        EXPECT_EQ(budget_.held(), kBlockSize);
    }
    EXPECT_EQ(budget_.held(), 0U);
}

TEST_F(BlobTreeTest, RefusesATreeThatDoesNotFit)
{
    auto cut = blob_.info;
    cut.blob_size -= 1;
    EXPECT_EQ(BlobTree::make(services_, cut).error().kind(), ErrorKind::kInvalid);
    auto odd = blob_.info;
    odd.erofs_size += 1;
    EXPECT_FALSE(BlobTree::make(services_, odd));
}

TEST_F(BlobTreeTest, RefusesABlobLargerThanErofsCanAddress)
{
    auto huge = blob_.info;
    huge.erofs_size = (std::uint64_t{1} << 44) + kBlockSize;
    huge.tree_offset = huge.erofs_size;
    huge.blob_size = huge.erofs_size * 2;
    const auto made = BlobTree::make(services_, huge);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().text(), ::testing::HasSubstr("more than EROFS can address"));
}

TEST_F(BlobTreeTest, WhoJoinsALoadThatRunsOutOfTimeStillHasItsOwn)
{
    const auto tree = BlobTree::make(services_, blob_.info);
    ASSERT_TRUE(tree);
    unsigned loads = 0;
    source_.fault = [&](auto&, ByteRange) {
        return ++loads == 1 ? std::optional{Error{ErrorKind::kTimeout, "too slow"}} : std::nullopt;
    };
    source_.hold();
    Preparing early{loop_, **tree, Deadline::after(milliseconds{0})};
    Preparing late{loop_, **tree, far_};
    ASSERT_TRUE(test::run_until(loop_, [&] { return source_.running == 1; }));
    source_.release();
    ASSERT_TRUE(test::run_until(loop_, [&] { return early.outcome && late.outcome; }));
    ASSERT_FALSE(*early.outcome);
    EXPECT_EQ(early.outcome->error().kind(), ErrorKind::kTimeout);
    EXPECT_TRUE(*late.outcome) << late.outcome->error().text();
    EXPECT_EQ(loads, 2U);
}

TEST_F(BlobTreeTest, ALoadThatTimesOutForItsOwnAskerIsNotRepeated)
{
    const auto tree = BlobTree::make(services_, blob_.info);
    ASSERT_TRUE(tree);
    unsigned loads = 0;
    source_.fault = [&](auto&, ByteRange) {
        ++loads;
        return std::optional{Error{ErrorKind::kTimeout, "too slow"}};
    };
    Preparing load{loop_, **tree, far_};
    ASSERT_TRUE(test::run_until(loop_, [&] { return load.outcome.has_value(); }));
    EXPECT_FALSE(*load.outcome);
    EXPECT_EQ(loads, 1U);
}

} // namespace
} // namespace sluice::daemon
