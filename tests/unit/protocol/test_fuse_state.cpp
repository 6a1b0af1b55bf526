// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_state.hpp"
#include "tests/unit/protocol/fuse_bytes.hpp"

#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace sluice::protocol {
namespace {

using Layout = FuseStateLayout;

const std::filesystem::path kBase{"/run/sluice/blobs"};
const std::string kName(Layout::kNameDigits, 'a');

FuseState fresh()
{
    return std::move(FuseState::create(kBase / "0a1b2c3d")).value();
}

UniqueFd duplicate(const FuseState& state)
{
    return UniqueFd{kAdoptFd, ::fcntl(state.descriptor(), F_DUPFD_CLOEXEC, 0)};
}

Result<FuseState> successor_of(const FuseState& state)
{
    return FuseState::adopt(duplicate(state));
}

template <typename T>
void overwrite(const FuseState& state, std::size_t offset, T value)
{
    ASSERT_EQ(::pwrite(state.descriptor(), &value, sizeof value, static_cast<off_t>(offset)), ssize_t{sizeof value});
}

void put(FuseState& state, std::size_t slot, const std::string& message)
{
    std::memcpy(state.slot(slot).data(), message.data(), message.size());
}

TEST(FuseState, ASuccessorFindsNamesOpeningsAndRequests)
{
    auto state = fresh();
    const auto node = state.add_name(kName).value();
    const auto handle = state.take_handle().value();
    ASSERT_TRUE(state.add_opening({handle, node}));
    put(state, 7, fuse_read_bytes(12, handle, 0, 4096));
    const auto arrival = SteadyClock::now() - std::chrono::seconds{5};
    EXPECT_EQ(state.note_arrival(7, arrival), arrival);
    state.note_handle(7, handle);

    auto next = std::move(successor_of(state)).value();
    EXPECT_EQ(next.directory(), kBase / "0a1b2c3d");
    EXPECT_EQ(next.name_of(node), kName);
    EXPECT_EQ(next.node_of(handle), node);
    EXPECT_EQ(next.slots_in_use(), std::vector<std::size_t>{7});
    EXPECT_EQ(next.note_arrival(7, SteadyClock::now()), arrival);
    EXPECT_EQ(next.noted_handle(7), handle);
}

TEST(FuseState, NodeIdsAndHandlesAreNeverGivenTwice)
{
    auto state = fresh();
    const auto node = state.add_name(kName).value();
    const auto handle = state.take_handle().value();
    ASSERT_TRUE(state.add_opening({handle, node}));
    EXPECT_TRUE(state.remove_opening(handle));
    EXPECT_FALSE(state.remove_opening(handle));
    auto next = std::move(successor_of(state)).value();
    EXPECT_NE(next.add_name(std::string(Layout::kNameDigits, 'b')), node);
    EXPECT_NE(next.take_handle(), handle);
    EXPECT_TRUE(next.openings().empty());
}

TEST(FuseState, HandlesEndBeforeTheyBeginAgain)
{
    auto state = fresh();
    overwrite(state, offsetof(Layout, header) + offsetof(Layout::Header, last_handle), std::uint64_t{0xffffffff});
    EXPECT_FALSE(state.take_handle());
}

TEST(FuseState, WhatIsNoCookieGetsNoNodeId)
{
    auto state = fresh();
    EXPECT_FALSE(state.add_name("short"));
    EXPECT_FALSE(state.add_name(std::string(Layout::kNameDigits, 'X')));
    EXPECT_EQ(state.name_of(0), "");
    EXPECT_EQ(state.name_of(kFuseRoot), "");
    EXPECT_EQ(state.name_of(kFuseRoot + 1), "");
    EXPECT_EQ(state.name_of(~std::uint64_t{0}), "");
}

TEST(FuseState, FullTablesAreToldAndNotOverrun)
{
    auto state = fresh();
    const auto node = state.add_name(kName).value();
    overwrite(state, offsetof(Layout, header) + offsetof(Layout::Header, names), std::uint32_t{Layout::kNames});
    EXPECT_FALSE(state.add_name(std::string(Layout::kNameDigits, 'c')));
    for (std::size_t i = 0; i < Layout::kOpenings; ++i) {
        ASSERT_TRUE(state.add_opening({state.take_handle().value(), node}));
    }
    EXPECT_FALSE(state.add_opening({state.take_handle().value(), node}));
    EXPECT_TRUE(state.remove_opening(1));
    EXPECT_TRUE(state.add_opening({state.take_handle().value(), node}));
}

TEST(FuseState, AFreedSlotHasNoNotesForTheNextRequest)
{
    auto state = fresh();
    put(state, 0, fuse_read_bytes(12, 1, 0, 4096));
    EXPECT_TRUE(state.in_use(0));
    (void)state.take_handle();
    state.note_handle(0, 1);
    (void)state.note_arrival(0, SteadyClock::now() - std::chrono::hours{1});
    state.clear(0);
    EXPECT_FALSE(state.in_use(0));
    EXPECT_EQ(state.noted_handle(0), 0U);
    const auto now = SteadyClock::now();
    EXPECT_EQ(state.note_arrival(0, now), now);
}

TEST(FuseState, AnotherVersionIsUnsupported)
{
    const auto state = fresh();
    overwrite(state, offsetof(Layout, header) + offsetof(Layout::Header, version), Layout::kVersion + 1);
    const auto adopted = successor_of(state);
    ASSERT_FALSE(adopted);
    EXPECT_EQ(adopted.error().kind(), ErrorKind::kUnsupported);
}

TEST(FuseState, AnotherVersionIsToldWhateverItsSize)
{
    const UniqueFd memory{kAdoptFd, ::memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    const std::uint64_t magic = Layout::kMagic;
    const std::uint32_t version = Layout::kVersion + 1;
    ASSERT_EQ(::pwrite(memory.get(), &magic, sizeof magic, 0), ssize_t{sizeof magic});
    ASSERT_EQ(::pwrite(memory.get(), &version, sizeof version, sizeof magic), ssize_t{sizeof version});
    ASSERT_EQ(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    const auto adopted = FuseState::adopt(UniqueFd{kAdoptFd, ::fcntl(memory.get(), F_DUPFD_CLOEXEC, 0)});
    ASSERT_FALSE(adopted);
    EXPECT_EQ(adopted.error().kind(), ErrorKind::kUnsupported);
}

TEST(FuseState, WhatThisClassDidNotWriteIsInvalid)
{
    const auto refused = [](std::size_t offset, auto value) {
        auto state = fresh();
        const auto node = state.add_name(kName).value();
        EXPECT_TRUE(state.add_opening({state.take_handle().value(), node}));
        EXPECT_TRUE(successor_of(state));
        overwrite(state, offset, value);
        const auto adopted = successor_of(state);
        return !adopted && adopted.error().kind() == ErrorKind::kInvalid;
    };
    const auto opening = offsetof(Layout, openings);
    EXPECT_TRUE(refused(offsetof(Layout::Header, magic), std::uint64_t{1}));
    EXPECT_TRUE(refused(offsetof(Layout::Header, boot), 'x'));
    EXPECT_TRUE(refused(offsetof(Layout::Header, names), std::uint32_t{Layout::kNames + 1}));
    EXPECT_TRUE(refused(offsetof(Layout::Header, last_handle), ~std::uint64_t{0}));
    const auto directory = offsetof(Layout::Header, directory);
    EXPECT_TRUE(refused(directory, '.')) << "a relative path";
    EXPECT_TRUE(refused(directory + kBase.native().size() + 1, 'x')) << "a name that no mount point has";
    EXPECT_TRUE(refused(directory + kBase.native().size() + 1, '\0')) << "no name";
    EXPECT_TRUE(refused(offsetof(Layout, names), '/'));
    EXPECT_TRUE(refused(opening + offsetof(Layout::Opening, handle), std::uint64_t{9}));
    EXPECT_TRUE(refused(opening + offsetof(Layout::Opening, node), std::uint64_t{9}));
    EXPECT_TRUE(refused(opening + 16 + offsetof(Layout::Opening, handle), std::uint64_t{1})) << "two of one handle";
}

TEST(FuseState, MemoryThatCanShrinkIsInvalid)
{
    UniqueFd memory{kAdoptFd, ::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    ASSERT_EQ(::ftruncate(memory.get(), sizeof(Layout)), 0);
    const auto adopted = FuseState::adopt(std::move(memory));
    ASSERT_FALSE(adopted);
    EXPECT_EQ(adopted.error().kind(), ErrorKind::kInvalid);
}

} // namespace
} // namespace sluice::protocol
