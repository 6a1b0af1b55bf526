// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/tree_budget.hpp"
#include "daemon/front_end/object_service.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/only.hpp"
#include "tests/support/temp_dir.hpp"

#include <cerrno>
#include <gmock/gmock.h>
#include <new>

namespace sluice::daemon {
namespace {

using ::testing::HasSubstr;

class Openings final : public protocol::Answerer {
public:
    void answer_open(ObjectId object, MessageId, Result<protocol::OpenedBlob> outcome) override
    {
        outcomes.insert_or_assign(object, std::move(outcome));
    }

    void answer_read(ObjectId, MessageId, Result<void>) override {}

    std::map<ObjectId, Result<protocol::OpenedBlob>> outcomes;
};

class ObjectServiceTest : public test::FdLeakTest {
protected:
    struct World {
        World() { source.add(content); }

        EventLoop loop;
        test::TempDir dir;
        BufferPool buffers{1 << 20, 64 * 1024};
        WorkerPool workers{2};
        test::FakeBlob content{16};
        test::FakeSource source{loop, buffers};
        Counters counters;
        TreeBudget budget{16U << 20};
        fetcher::MirrorSet mirrors{loop, test::only(source)};
        FillServices services{
            loop,
            workers,
            mirrors,
            nullptr,
            counters,
            budget,
            nullptr,
            {dir.path(), dir.path() / "private", volume_of("sluice")}};
        FillPolicy policy;
        Blobs blobs{services, policy};
        Catalogue catalogue;
        /// Those of cachefiles.
        protocol::Capabilities capabilities{"test", true, true, true, false};
        ObjectService service{{services, blobs, catalogue, [this] { return capabilities; }, [](const Error&) {}}};
        std::shared_ptr<Openings> answers = std::make_shared<Openings>();
        std::uint32_t next_object = 0;
    };

    void SetUp() override
    {
        FdLeakTest::SetUp();
        world_ = std::make_unique<World>();
    }

    void TearDown() override
    {
        world_.reset();
        FdLeakTest::TearDown();
    }

    void registered(bool compressed) const
    {
        auto info = world_->content.info;
        info.compressed = compressed;
        world_->catalogue.add(std::move(info));
    }

    Result<protocol::OpenedBlob> open() const
    {
        const ObjectId object{world_->next_object++};
        world_->service.on_open(
            {object,
             "volume",
             cookie_of(world_->content.info),
             std::make_shared<test::MemoryHandle>(16 * kBlockSize),
             protocol::PendingOpen{world_->answers, object, MessageId{7}}}
        );
        EXPECT_TRUE(test::run_until(world_->loop, [&] { return world_->answers->outcomes.contains(object); }));
        return world_->answers->outcomes.at(object);
    }

    std::unique_ptr<World> world_;
};

TEST_F(ObjectServiceTest, ACompressedBlobIsOpenedOnceItIsComplete)
{
    registered(true);
    const auto refused = open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
    EXPECT_EQ(refused.error().code(), EAGAIN);
    EXPECT_THAT(refused.error().text(), HasSubstr("sluicectl mount"));
    EXPECT_EQ(world_->service.objects_open(), 0U);
    EXPECT_EQ(world_->counters.opens_rejected, 1U);

    const auto blob = world_->blobs.use(world_->content.info).value();
    const auto completed = test::run_task(world_->loop, blob->complete());
    ASSERT_TRUE(completed && *completed);
    EXPECT_TRUE(open());
    EXPECT_EQ(world_->service.objects_open(), 1U);
}

TEST_F(ObjectServiceTest, WhatIsNotCompressedNeedNotBeComplete)
{
    registered(false);
    EXPECT_TRUE(open());
}

TEST_F(ObjectServiceTest, AFrontEndThatDoesNotNeedItOpensCompressedBlobsAtOnce)
{
    registered(true);
    world_->capabilities.needs_complete = false;
    EXPECT_TRUE(open());
}

TEST_F(ObjectServiceTest, MemoryThatRunsOutEndsOneOpenAndNotTheDaemon)
{
    registered(false);
    world_->blobs.on_use = [](const Digest&) { throw std::bad_alloc{}; };
    const auto refused = open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kNoSpace);
    EXPECT_EQ(refused.error().code(), ENOMEM);
    world_->blobs.on_use = nullptr;
    EXPECT_TRUE(open());
}

} // namespace
} // namespace sluice::daemon
