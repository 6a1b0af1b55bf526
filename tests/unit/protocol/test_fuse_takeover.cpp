// SPDX-License-Identifier: Apache-2.0
//
// When a FUSE connection is taken over, when it is ended, and when it has to wait for the next process.
#include "tests/unit/protocol/fuse_survival_world.hpp"

#include <sys/resource.h>

namespace sluice::protocol {
namespace {

class FuseTakeoverTest : public FuseSurvivalTest {
protected:
    /// Starts a successor: what became of it.
    Result<void> try_start()
    {
        server_.emplace(*this);
        return server_->front_end->start(server_->handler);
    }

    /// Leaves a reader whose READ nobody answers.
    pid_t leave_a_reader()
    {
        auto& first = start();
        const auto reader = read_elsewhere(3);
        EXPECT_TRUE(test::run_until(first.loop, [&] { return first.handler.reads.size() == 1; }));
        leave();
        return reader;
    }

    void overwrite_version(std::uint32_t version)
    {
        const auto offset = offsetof(FuseStateLayout, header) + offsetof(FuseStateLayout::Header, version);
        const auto descriptor = kept_.of(FuseFrontEnd::kState);
        ASSERT_EQ(::pwrite(descriptor, &version, sizeof version, static_cast<off_t>(offset)), ssize_t{sizeof version});
    }

    /// How many descriptors of /dev/fuse this process has.
    static std::size_t count_devices()
    {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
            std::error_code ignored;
            count += std::filesystem::read_symlink(entry.path(), ignored) == "/dev/fuse" ? 1U : 0U;
        }
        return count;
    }
};

TEST_F(FuseTakeoverTest, AnotherVersionsConnectionEndsAndANewOneServes)
{
    const auto reader = leave_a_reader();
    const auto before = std::filesystem::path{path_}.parent_path();
    overwrite_version(FuseStateLayout::kVersion + 1);
    auto& second = start();
    second.serve();
    EXPECT_NE(result_of(reader), 0) << "it is told, and does not wait for ever";
    EXPECT_NE(second.front_end->directory(), before);
    EXPECT_FALSE(std::filesystem::exists(before));
    EXPECT_EQ(result_of(read_elsewhere(4)), 0);
    leave();
    start().serve();
    EXPECT_EQ(result_of(read_elsewhere(5)), 0) << "the new one is kept in the old one's place";
}

TEST_F(FuseTakeoverTest, WhatIsAmissWithThisProcessEndsNothing)
{
    const auto reader = leave_a_reader();
    {
        server_.emplace(*this);
        rlimit before{};
        ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
        const rlimit none{3, before.rlim_max};
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
        const auto started = server_->front_end->start(server_->handler);
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
        ASSERT_FALSE(started);
        server_.reset();
    }
    EXPECT_FALSE(kept_.empty());
    start().serve();
    EXPECT_EQ(result_of(reader), 0);
}

TEST_F(FuseTakeoverTest, ALockedBaseDirectoryIsTransient)
{
    start();
    leave();
    const auto path = std::filesystem::path{path_}.parent_path();
    {
        auto other = FuseMount::adopt(path);
        ASSERT_TRUE(other);
        other->leave();
        const auto started = try_start();
        ASSERT_FALSE(started);
        EXPECT_EQ(started.error().kind(), ErrorKind::kTransient);
        server_.reset();
    }
    EXPECT_FALSE(kept_.empty());
    start().serve();
    EXPECT_EQ(server_->front_end->directory(), path);
    EXPECT_EQ(result_of(read_elsewhere(1)), 0);
}

TEST_F(FuseTakeoverTest, WhatWasUnmountedMeanwhileIsMountedAnew)
{
    start();
    leave();
    const auto before = std::filesystem::path{path_}.parent_path();
    ASSERT_EQ(::umount2(before.c_str(), MNT_DETACH), 0);
    start().serve();
    EXPECT_NE(server_->front_end->directory(), before);
    EXPECT_EQ(result_of(read_elsewhere(1)), 0);
}

TEST_F(FuseTakeoverTest, WhatWasUnmountedWhileAFileIsHeldIsMountedAnew)
{
    auto& first = start();
    first.serve();
    const auto path = path_;
    fork_child([path] {
        ::close_range(3, ~0U, 0);
        (void)::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        return ::pause();
    });
    ASSERT_TRUE(test::run_until(first.loop, [&] { return first.front_end->stats().opens_accepted == 1; }));
    leave();
    const auto before = std::filesystem::path{path_}.parent_path();
    ASSERT_EQ(::umount2(before.c_str(), MNT_DETACH), 0);
    start().serve();
    EXPECT_NE(server_->front_end->directory(), before);
    EXPECT_EQ(result_of(read_elsewhere(1)), 0);
}

TEST_F(FuseTakeoverTest, ABaseDirectoryWithASlashAtItsEndIsTheSame)
{
    const auto reader = leave_a_reader();
    const auto before = std::filesystem::path{path_}.parent_path();
    blobs_dir_ = base() / "";
    start();
    EXPECT_EQ(server_->front_end->directory(), before);
    leave();
    start().serve();
    EXPECT_EQ(server_->front_end->directory(), before);
    EXPECT_EQ(result_of(reader), 0);
}

TEST_F(FuseTakeoverTest, ANewBaseDirectoryLeavesNothingInTheOldOne)
{
    const auto reader = leave_a_reader();
    const auto before = std::filesystem::path{path_}.parent_path();
    blobs_dir_ = dir_.path() / "elsewhere";
    start().serve();
    EXPECT_NE(result_of(reader), 0) << "it is told, and does not wait for ever";
    EXPECT_EQ(server_->front_end->directory().parent_path(), blobs_dir_);
    EXPECT_FALSE(std::filesystem::exists(before));
    EXPECT_EQ(result_of(read_elsewhere(1)), 0);
    server_->front_end->stop();
}

TEST_F(FuseTakeoverTest, AMountPointWhosePathHasBlanksIsFoundAgain)
{
    blobs_dir_ = dir_.path() / "a \\ b";
    const auto reader = leave_a_reader();
    const auto before = std::filesystem::path{path_}.parent_path();
    start().serve();
    EXPECT_EQ(server_->front_end->directory(), before);
    EXPECT_EQ(result_of(reader), 0);
    server_->front_end->stop();
}

TEST_F(FuseTakeoverTest, HalfOfThePairIsNotTakenOver)
{
    start();
    leave();
    auto store = kept_.store();
    store.forget(FuseFrontEnd::kState);
    start().serve();
    EXPECT_EQ(result_of(read_elsewhere(1)), 0);
}

TEST_F(FuseTakeoverTest, WhoStopsLeavesNothing)
{
    start();
    EXPECT_FALSE(kept_.empty()) << "it is kept before the first request";
    server_->front_end->stop();
    EXPECT_TRUE(kept_.empty());
    EXPECT_FALSE(std::filesystem::exists(std::filesystem::path{path_}.parent_path()));
}

TEST_F(FuseTakeoverTest, WhoHasLeftStopsNothing)
{
    start();
    server_->front_end->leave();
    server_->front_end->stop();
    server_.reset();
    start().serve();
    EXPECT_EQ(result_of(read_elsewhere(1)), 0);
}

TEST_F(FuseTakeoverTest, AConnectionThatCannotBeKeptIsNotServed)
{
    server_.emplace(*this);
    server_->store = FdStore{{}, [](const std::string& message, int) -> Result<void> {
                                 if (message.starts_with("FDSTORE=1")) {
                                     return fail(ErrorKind::kNoSpace, "the keeper takes no more");
                                 }
                                 return {};
                             }};
    EXPECT_FALSE(server_->front_end->start(server_->handler));
    server_.reset();
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator{base()}, {}), 1) << "the lock alone";
}

TEST_F(FuseTakeoverTest, TheDeviceIsOpenedOnceAndNeverCloned)
{
    server_.emplace(*this);
    server_->store = FdStore{};
    ASSERT_TRUE(server_->front_end->start(server_->handler));
    path_ = (server_->front_end->directory() / blob_).string();
    server_->serve();
    EXPECT_EQ(result_of(read_elsewhere(1)), 0);
    EXPECT_EQ(count_devices(), 1U);
}

} // namespace
} // namespace sluice::protocol
