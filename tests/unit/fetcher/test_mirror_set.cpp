// SPDX-License-Identifier: Apache-2.0
#include "fetcher/mirror_set.hpp"
#include "tests/support/only.hpp"
#include "tests/unit/fetcher/fetch_fixture.hpp"

#include <deque>
#include <functional>
#include <gmock/gmock.h>
#include <map>

namespace sluice::fetcher {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Repositories that do as they are told, without a network.
class ScriptedSource final : public BlobSource {
public:
    struct Behaviour {
        std::uint64_t bytes = ~0ULL; ///< that it delivers before
        std::optional<ErrorKind> error;
        bool asked = true;
        std::optional<milliseconds> retry_after{};
    };

    struct Asked {
        std::string repository;
        ByteRange range;
        FetchTerms terms;
    };

    Task<Result<void>> fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms) override
    {
        asked.push_back({blob.repository, range, terms});
        auto& queue = scripts[blob.repository];
        Behaviour behaviour;
        if (!queue.empty()) {
            behaviour = queue.front();
            queue.pop_front();
        }
        const auto end =
            behaviour.bytes == ~0ULL ? range.end() : std::min(range.begin() + behaviour.bytes, range.end());
        for (auto at = range.begin(); at < end; at += kBlockSize) {
            auto chunk = AlignedBuffer::allocate(kBlockSize);
            const std::vector<std::byte> bytes(kBlockSize, static_cast<std::byte>(at / kBlockSize));
            chunk.append(bytes);
            sink.on_chunk(at, std::move(chunk));
        }
        if (terms.note != nullptr) {
            terms.note->asked = behaviour.asked;
            terms.note->retry_after = behaviour.retry_after;
        }
        if (behaviour.error) {
            co_return fail(*behaviour.error, blob.repository + ": scripted");
        }
        co_return Result<void>{};
    }

    std::map<std::string, std::deque<Behaviour>> scripts;
    std::vector<Asked> asked;
};

/// Takes blocks in order, each once, and notes whose they are.
class NotingSink final : public ChunkSink {
public:
    void on_chunk(std::uint64_t offset, AlignedBuffer chunk) override
    {
        EXPECT_EQ(offset, next);
        next += chunk.size();
        taken.push_back(source);
    }

    void on_source(const std::string& repository) override { source = repository; }

    std::uint64_t next = 0;
    std::string source;
    std::vector<std::string> taken; ///< by block: from where
};

class MirrorSetTest : public ::testing::Test {
protected:
    static constexpr ByteRange kRange{0, 4 * kBlockSize};

    MirrorSetTest()
    {
        options_.rounds.first = milliseconds{1};
        options_.rounds.longest = milliseconds{1};
        options_.now = [this] { return now_; };
    }

    MirrorSet& mirrors()
    {
        if (!mirrors_) {
            mirrors_.emplace(loop_, test::only(source_), options_);
        }
        return *mirrors_;
    }

    Result<void> fetch(ChunkSink& sink, std::vector<std::string> repositories, FetchTerms terms)
    {
        return *test::run_task(
            loop_, mirrors().fetch(std::move(repositories), digest_, kRange.size(), kRange, sink, terms)
        );
    }

    Result<void> fetch(ChunkSink& sink, milliseconds patience = seconds{20})
    {
        return fetch(sink, {"a/x", "b/x"}, Deadline::after(patience));
    }

    Result<void> fetch()
    {
        NotingSink sink;
        return fetch(sink);
    }

    void script(const std::string& repository, ErrorKind error, std::uint64_t bytes = 0, std::size_t times = 1)
    {
        auto& queue = source_.scripts[repository];
        queue.insert(queue.end(), times, {.bytes = bytes, .error = error});
    }

    [[nodiscard]] std::vector<std::string> asked() const
    {
        std::vector<std::string> names;
        for (const auto& one : source_.asked) {
            names.push_back(one.repository);
        }
        return names;
    }

    EventLoop loop_;
    ScriptedSource source_;
    MirrorOptions options_;
    TimePoint now_ = SteadyClock::now();
    Digest digest_;
    std::optional<MirrorSet> mirrors_;
};

TEST_F(MirrorSetTest, WhoAskedLearnsWhenTheRepositoriesWantToBeAskedAgain)
{
    constexpr std::chrono::hours kHour{1};
    for (const auto& repositories : {std::vector<std::string>{"a/x"}, {"a/x", "b/x"}}) {
        for (const auto& repository : repositories) {
            const auto wish = repository == "a/x" ? 2 * kHour : 3 * kHour;
            source_.scripts[repository].push_back({.bytes = 0, .error = ErrorKind::kTimeout, .retry_after = wish});
        }
        FetchNote note;
        FetchTerms terms{Deadline::after(kHour)};
        terms.note = &note;
        NotingSink sink;
        const auto outcome = fetch(sink, repositories, terms);
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().kind(), ErrorKind::kTimeout);
        EXPECT_EQ(note.retry_after, milliseconds{2 * kHour}) << repositories.size();
    }
}

TEST_F(MirrorSetTest, TheFirstIsAskedAndNobodyElse)
{
    NotingSink sink;
    ASSERT_TRUE(fetch(sink));
    EXPECT_EQ(sink.next, kRange.end());
    EXPECT_THAT(sink.taken, ElementsAre("a/x", "a/x", "a/x", "a/x"));
    EXPECT_THAT(asked(), ElementsAre("a/x"));
}

TEST_F(MirrorSetTest, TheNextOneGoesOnBehindWhatHasCome)
{
    script("a/x", ErrorKind::kTransient, kBlockSize);
    NotingSink sink;
    ASSERT_TRUE(fetch(sink));
    EXPECT_THAT(sink.taken, ElementsAre("a/x", "b/x", "b/x", "b/x"));
    EXPECT_EQ(source_.asked.at(1).range, (ByteRange{kBlockSize, kRange.end()}));
}

TEST_F(MirrorSetTest, WhoHasFailedIsAskedLastByAllThatShareItsHost)
{
    script("a/x", ErrorKind::kTransient);
    ASSERT_TRUE(fetch());
    ASSERT_TRUE(fetch());
    NotingSink sink;
    ASSERT_TRUE(fetch(sink, {"a/other", "b/other"}, Deadline::after(seconds{20})));
    EXPECT_THAT(asked(), ElementsAre("a/x", "b/x", "b/x", "b/other"));
}

TEST_F(MirrorSetTest, OnProbationItIsTriedOutByThoseInNoHurry)
{
    script("a/x", ErrorKind::kTransient);
    ASSERT_TRUE(fetch());
    now_ += seconds{6};
    ASSERT_TRUE(fetch());
    NotingSink sink;
    ASSERT_TRUE(fetch(sink, {"a/x", "b/x"}, {Deadline::after(seconds{20}), Urgency::kBackground}));
    ASSERT_TRUE(fetch());
    EXPECT_THAT(asked(), ElementsAre("a/x", "b/x", "b/x", "a/x", "a/x"));
}

TEST_F(MirrorSetTest, WhoHadNoTimeToAskBlamesNobody)
{
    source_.scripts["a/x"].push_back({.bytes = 0, .error = ErrorKind::kTimeout, .asked = false});
    ASSERT_TRUE(fetch());
    ASSERT_TRUE(fetch());
    EXPECT_THAT(asked(), ElementsAre("a/x", "b/x", "a/x"));
}

TEST_F(MirrorSetTest, NoneOfSeveralGetsMoreThanItsShareAndAllGetOneAttempt)
{
    for (const auto* name : {"a/x", "b/x", "c/x"}) {
        script(name, ErrorKind::kTimeout);
    }
    NotingSink sink;
    const auto start = SteadyClock::now();
    const FetchTerms terms{Deadline{start + seconds{300}}};
    ASSERT_TRUE(fetch(sink, {"a/x", "b/x", "c/x"}, terms));
    ASSERT_EQ(source_.asked.size(), 4U);
    EXPECT_LE(source_.asked[0].terms.deadline.when(), start + seconds{101});
    EXPECT_LE(source_.asked[1].terms.deadline.when(), start + seconds{151});
    EXPECT_GT(source_.asked[2].terms.deadline.when(), start + seconds{200});
    EXPECT_TRUE(source_.asked[0].terms.once);
}

TEST_F(MirrorSetTest, ASingleOneGetsAllTheTimeAndTriesByItself)
{
    script("a/x", ErrorKind::kTimeout, kBlockSize);
    NotingSink sink;
    const FetchTerms terms{Deadline::after(seconds{300})};
    const auto outcome = fetch(sink, {"a/x"}, terms);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().text(), "a/x: scripted");
    EXPECT_FALSE(source_.asked.at(0).terms.once);
    EXPECT_EQ(source_.asked[0].terms.deadline.when(), terms.deadline.when());
}

TEST_F(MirrorSetTest, TransientFaultsAreTriedInRoundsWhileThereIsTime)
{
    script("a/x", ErrorKind::kTransient, 0, 50);
    script("b/x", ErrorKind::kTransient, 0, 50);
    ASSERT_TRUE(fetch());
    EXPECT_EQ(source_.asked.size(), 101U);
}

TEST_F(MirrorSetTest, TheDeadlineEndsItAndTellsTheLastFailure)
{
    script("a/x", ErrorKind::kTransient, 0, 100'000);
    script("b/x", ErrorKind::kTransient, 0, 100'000);
    NotingSink sink;
    const auto outcome = fetch(sink, milliseconds{50});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kTimeout);
    EXPECT_THAT(outcome.error().text(), HasSubstr("/x: scripted"));
    EXPECT_THAT(outcome.error().text(), HasSubstr("none of 2 repositories"));
}

TEST_F(MirrorSetTest, NotFoundByAllIsNotFoundAndAskedOnce)
{
    script("a/x", ErrorKind::kNotFound);
    script("b/x", ErrorKind::kNotFound);
    const auto outcome = fetch();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kNotFound);
    EXPECT_THAT(asked(), ElementsAre("a/x", "b/x"));
}

TEST_F(MirrorSetTest, WhoHasItNotIsNotAskedAgainWhileTheOthersRecover)
{
    script("a/x", ErrorKind::kNotFound);
    script("b/x", ErrorKind::kTransient, 0, 3);
    ASSERT_TRUE(fetch());
    EXPECT_THAT(asked(), ElementsAre("a/x", "b/x", "b/x", "b/x", "b/x"));
}

TEST_F(MirrorSetTest, DeniedTellsMoreThanNotFound)
{
    script("a/x", ErrorKind::kDenied);
    script("b/x", ErrorKind::kNotFound);
    const auto outcome = fetch();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(outcome.error().text(), HasSubstr("a/x"));
}

TEST_F(MirrorSetTest, AFullDiskIsNoMattersForAnotherRepository)
{
    script("a/x", ErrorKind::kNoSpace);
    const auto outcome = fetch();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kNoSpace);
    EXPECT_THAT(asked(), ElementsAre("a/x"));
}

TEST_F(MirrorSetTest, WhoIsBlamedGoesLastForThatBlobOnly)
{
    mirrors().blame("a/x", digest_, {0, kBlockSize});
    ASSERT_TRUE(fetch());
    digest_ = fake_sha256({});
    ASSERT_TRUE(fetch());
    EXPECT_THAT(asked(), ElementsAre("b/x", "a/x"));
    now_ += seconds{61};
    digest_ = Digest{};
    ASSERT_TRUE(fetch());
    EXPECT_EQ(asked().back(), "a/x");
}

TEST_F(MirrorSetTest, WhenAllAreBlamedTwiceForAllOfItItIsCorrupt)
{
    for (const auto* name : {"a/x", "b/x"}) {
        mirrors().blame(name, digest_, kRange);
    }
    ASSERT_TRUE(fetch()) << "once may have been the way here";
    mirrors().blame("a/x", digest_, kRange);
    mirrors().blame("b/x", digest_, {0, kBlockSize});
    ASSERT_TRUE(fetch()) << "the rest of b's may be right";
    mirrors().blame("b/x", digest_, kRange);
    source_.asked.clear();
    const auto outcome = fetch();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kCorrupt);
    EXPECT_TRUE(source_.asked.empty());
}

TEST_F(MirrorSetTest, NoRepositoryIsNotFound)
{
    NotingSink sink;
    const auto outcome = fetch(sink, {}, Deadline::after(seconds{20}));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kNotFound);
}

TEST_F(MirrorSetTest, WithAStallTimeEachOneMayStallBeforeItIsOver)
{
    script("a/x", ErrorKind::kTimeout, kBlockSize);
    NotingSink sink;
    const FetchTerms terms{Deadline::after(milliseconds{0}), Urgency::kBackground, milliseconds{1}};
    ASSERT_TRUE(fetch(sink, {"a/x", "b/x"}, terms));
    EXPECT_EQ(source_.asked.at(0).terms.stall, milliseconds{1});
    EXPECT_THAT(sink.taken, ElementsAre("a/x", "b/x", "b/x", "b/x"));
}

} // namespace
} // namespace sluice::fetcher
