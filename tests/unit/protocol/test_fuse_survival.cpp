// SPDX-License-Identifier: Apache-2.0
//
// FUSE requests outlive whoever serves them, wherever it dies.
#include "tests/unit/protocol/fuse_bytes.hpp"
#include "tests/unit/protocol/fuse_survival_world.hpp"

#include <sys/uio.h>

namespace sluice::protocol {
namespace {

TEST_F(FuseSurvivalTest, AReadThatWasNotAnsweredIsTheSuccessors)
{
    auto& first = start();
    const auto reader = read_elsewhere(3);
    ASSERT_TRUE(test::run_until(first.loop, [&] { return first.handler.reads.size() == 1; }));
    leave();
    const auto between = SteadyClock::now();
    auto& second = start();
    ASSERT_TRUE(test::run_until(second.loop, [&] { return second.handler.reads.size() == 1; }));
    EXPECT_EQ(second.front_end->stats().replayed, 1U);
    EXPECT_LT(second.handler.reads.front().arrival, between) << "its deadline is counted from when it came";
    second.answer(std::move(second.handler.reads.front()));
    second.handler.reads.clear();
    EXPECT_EQ(result_of(reader), 0);
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, RequestsThatComeWhileNobodyServesWait)
{
    start();
    leave();
    const auto reader = read_elsewhere(5);
    await_open(reader);
    start().serve();
    EXPECT_EQ(result_of(reader), 0);
    EXPECT_EQ(server_->front_end->stats().replayed, 0U);
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, TheFileSystemStaysWhereItIs)
{
    const auto before = start().front_end->directory();
    leave();
    EXPECT_EQ(start().front_end->directory(), before);
    server_->serve();
    EXPECT_EQ(result_of(read_elsewhere(1)), 0);
}

TEST_F(FuseSurvivalTest, TenDeathsEachWithARequestInHand)
{
    start().serve();
    EXPECT_EQ(result_of(read_elsewhere(0)), 0); // INIT and the look-up are done: what comes waits for nothing else
    leave();
    std::vector<pid_t> readers;
    for (std::uint64_t i = 0; i < 10; ++i) {
        readers.push_back(read_elsewhere(i));
        take_and_die(); // with the opening of one of them, or with the first one's RELEASE
    }
    start().serve();
    for (const auto reader : readers) {
        EXPECT_EQ(result_of(reader), 0);
    }
    EXPECT_GE(server_->front_end->stats().replayed, 1U);
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, TenDeathsInTheMiddleOfReplay)
{
    auto& first = start();
    std::vector<pid_t> readers;
    for (std::uint64_t i = 0; i < 12; ++i) {
        readers.push_back(read_elsewhere(i));
    }
    ASSERT_TRUE(test::run_until(first.loop, [&] { return first.handler.reads.size() == readers.size(); }));
    leave();
    for (int death = 0; death < 10; ++death) {
        const auto server = serve_elsewhere([](Server& serving) {
            serving.serve([count = 0]() mutable {
                if (++count == 2) {
                    ::raise(SIGKILL);
                }
            });
        });
        EXPECT_TRUE(WIFSIGNALED(status_of(server)));
    }
    start().serve();
    for (const auto reader : readers) {
        EXPECT_EQ(result_of(reader), 0);
    }
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, ADeathBetweenTheAnswerAndTheEndOfItsSlotIsHarmless)
{
    start();
    leave();
    const auto reader = read_elsewhere(7);
    const auto reply = [](FuseChannel& channel, std::size_t slot, std::span<const std::byte> body) {
        fuse_out_header head{};
        head.len = static_cast<std::uint32_t>(sizeof head + body.size());
        head.unique = unique_of_fuse_message(channel.state().slot(slot));
        std::string bytes(sizeof head, '\0');
        std::memcpy(bytes.data(), &head, sizeof head);
        bytes.append(static_cast<const char*>(static_cast<const void*>(body.data())), body.size());
        (void)!::write(channel.descriptor(), bytes.data(), bytes.size());
    };
    const auto operation = [](FuseChannel& channel, std::size_t slot) {
        return parse_fuse_message(channel.state().slot(slot)).value().operation;
    };
    const auto holds_read = [this] {
        auto state = std::move(adopt_state()).value();
        const auto slots = state.slots_in_use();
        return std::any_of(slots.begin(), slots.end(), [&](std::size_t slot) {
            return parse_fuse_message(state.slot(slot)).value().operation == FUSE_READ;
        });
    };
    // All up to the READ, each answered by somebody who dies before the slot is free.
    while (!holds_read()) {
        take_and_die([&](FuseChannel& channel, std::size_t slot) {
            auto& state = channel.state();
            switch (operation(channel, slot)) {
            case FUSE_INIT: {
                const auto body = answer_offer(parse_fuse_message(state.slot(slot)).value().offer).value();
                reply(channel, slot, std::as_bytes(std::span{&body, 1}));
                break;
            }
            case FUSE_GETATTR: {
                const auto body = make_attributes({kFuseRoot, 0});
                reply(channel, slot, std::as_bytes(std::span{&body, 1}));
                break;
            }
            case FUSE_LOOKUP: {
                const auto body = make_entry({state.add_name(blob_).value(), kSurvivalSize});
                reply(channel, slot, std::as_bytes(std::span{&body, 1}));
                break;
            }
            case FUSE_OPEN: {
                const auto handle = state.take_handle().value();
                state.note_handle(slot, handle);
                EXPECT_TRUE(state.add_opening({handle, kFuseRoot + 1}));
                const auto body = make_opened(handle);
                reply(channel, slot, std::as_bytes(std::span{&body, 1}));
                break;
            }
            case FUSE_READ: {
                const std::string body(kBlockSize, survival_byte(7));
                reply(channel, slot, std::as_bytes(std::span{body}));
                break;
            }
            default:
                break;
            }
        });
    }
    const auto taken = adopt_state().value().slots_in_use().size();
    EXPECT_GE(taken, 4U); // INIT, a look-up, an opening and a READ
    start().serve();
    EXPECT_EQ(result_of(reader), 0);
    EXPECT_TRUE(test::run_until(server_->loop, [&] { return server_->front_end->stats().replayed == taken; }));
    EXPECT_EQ(server_->handler.count("open " + blob_), 1U) << "one opening, and not one more for its answer";
    expect_all_closed();
    EXPECT_EQ(server_->handler.count("close"), 1U);
}

TEST_F(FuseSurvivalTest, AnOpeningThatTheKernelHasNeverHeardOfIsDropped)
{
    start();
    leave();
    auto state = std::move(adopt_state()).value();
    const auto node = state.add_name(blob_).value();
    const auto message = fuse_bytes_of(FUSE_OPEN, 1U << 30, node, fuse_open_in{});
    std::memcpy(state.slot(9).data(), message.data(), message.size());
    auto& second = start();
    ASSERT_TRUE(test::run_until(second.loop, [&] { return second.handler.count("close") == 1; }));
    EXPECT_EQ(second.front_end->stats().open_answers_failed, 1U);
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, AnOpeningThatWasNotAnsweredIsDroppedWhenItsBlobIsGone)
{
    start().serve();
    EXPECT_EQ(result_of(read_elsewhere(0)), 0); // INIT and the look-up are done
    expect_all_closed();
    leave();
    const auto reader = read_elsewhere(1);
    bool recorded = false;
    while (!recorded) {
        take_and_die([](FuseChannel& channel, std::size_t slot) {
            auto& state = channel.state();
            const auto message = parse_fuse_message(state.slot(slot)).value();
            if (message.operation == FUSE_OPEN) {
                const auto handle = state.take_handle().value();
                state.note_handle(slot, handle);
                (void)state.add_opening({handle, message.node});
            }
        });
        recorded = !adopt_state().value().openings().empty();
    }
    blob_ = std::string(64, 'c');
    start().serve();
    EXPECT_EQ(result_of(reader), ENOENT);
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, AReadOfAnAbsurdSizeIsRefused)
{
    start();
    leave();
    auto state = std::move(adopt_state()).value();
    const auto node = state.add_name(blob_).value();
    const auto handle = state.take_handle().value();
    ASSERT_TRUE(state.add_opening({handle, node}));
    const auto absurd = fuse_read_bytes(1U << 30, handle, 0, 0xffff'f000U);
    std::memcpy(state.slot(9).data(), absurd.data(), absurd.size());
    const auto largest = fuse_read_bytes(1U << 29, handle, 0, kFuseReadMax);
    std::memcpy(state.slot(8).data(), largest.data(), largest.size());
    auto& second = start();
    ASSERT_TRUE(test::run_until(second.loop, [&] { return second.handler.reads.size() == 1; }));
    EXPECT_EQ(second.front_end->stats().malformed, 1U);
    EXPECT_FALSE(state.in_use(9));
}

TEST_F(FuseSurvivalTest, AReleaseThatComesTwiceIsNoFault)
{
    start();
    leave();
    auto state = std::move(adopt_state()).value();
    fuse_release_in body{};
    body.fh = state.take_handle().value();
    const auto message = fuse_bytes_of(FUSE_RELEASE, 1U << 30, 2, body);
    std::memcpy(state.slot(9).data(), message.data(), message.size());
    auto& second = start();
    ASSERT_TRUE(test::run_until(second.loop, [&] { return second.front_end->stats().replayed == 1; }));
    EXPECT_TRUE(second.handler.events.empty());
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, WhatWantsNoAnswerIsNotReplayedForEver)
{
    start();
    leave();
    auto state = std::move(adopt_state()).value();
    const auto forget = fuse_bytes_of(FUSE_FORGET, 1U << 30, 2, fuse_forget_in{1});
    const auto interrupt = fuse_bytes_of(FUSE_INTERRUPT, 1U << 29, 0, fuse_interrupt_in{8});
    const auto absurd = std::string(39, '\xff');
    std::memcpy(state.slot(1).data(), forget.data(), forget.size());
    std::memcpy(state.slot(2).data(), interrupt.data(), interrupt.size());
    std::memcpy(state.slot(3).data(), absurd.data(), absurd.size());
    auto& second = start();
    ASSERT_TRUE(test::run_until(second.loop, [&] { return second.front_end->stats().replayed == 3; }));
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, AReadWaitsUntilItsBlobIsOpenAgain)
{
    auto& first = start();
    const auto reader = read_elsewhere(3);
    ASSERT_TRUE(test::run_until(first.loop, [&] { return first.handler.reads.size() == 1; }));
    leave();
    server_.emplace(*this);
    server_->handler.accept_size.reset();
    server_->serve();
    ASSERT_TRUE(server_->front_end->start(server_->handler));
    ASSERT_TRUE(test::run_until(server_->loop, [&] { return server_->front_end->stats().replayed == 1; }));
    ASSERT_EQ(server_->handler.opens.size(), 1U);
    EXPECT_EQ(server_->handler.events, std::vector<std::string>{"open " + blob_});
    auto& open = server_->handler.opens.front();
    open.pending.accept({kSurvivalSize, {}, FileHandle::open(dir_.path() / blob_, kSurvivalSize).value()});
    EXPECT_EQ(result_of(reader), 0);
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, AReadWhoseBlobIsNotOpenedAgainInTimeFailsAndTheOpeningGoesOn)
{
    auto& first = start();
    const auto reader = read_elsewhere(3);
    ASSERT_TRUE(test::run_until(first.loop, [&] { return first.handler.reads.size() == 1; }));
    leave();
    read_deadline_ = milliseconds{20};
    server_.emplace(*this);
    server_->handler.accept_size.reset();
    server_->serve();
    ASSERT_TRUE(server_->front_end->start(server_->handler));
    EXPECT_EQ(result_of(reader), ETIMEDOUT);
    ASSERT_EQ(server_->handler.opens.size(), 1U);
    auto& open = server_->handler.opens.front();
    open.pending.accept({kSurvivalSize, {}, FileHandle::open(dir_.path() / blob_, kSurvivalSize).value()});
    server_->handler.accept_size = kSurvivalSize;
    EXPECT_EQ(result_of(read_elsewhere(4)), 0);
    expect_all_closed();
}

TEST_F(FuseSurvivalTest, ABlobThatCouldNotBeOpenedAgainIsTriedAtItsNextRead)
{
    auto& first = start();
    first.serve();
    const auto path = path_;
    std::array<int, 2> go{};
    ASSERT_EQ(::pipe2(go.data(), O_CLOEXEC), 0);
    const auto reader = fork_child([path, from = go[0]] {
        const int kept = ::dup2(from, 900);
        ::close_range(3, 899, 0); // no copy of the connection
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        std::array<char, kBlockSize> bytes{};
        (void)!::read(kept, bytes.data(), 1);
        if (::pread(fd, bytes.data(), bytes.size(), 0) != -1 || errno != ENOSPC) {
            return 1;
        }
        return ::pread(fd, bytes.data(), bytes.size(), 0) == std::ssize(bytes) && bytes[0] == survival_byte(0) ? 0 : 2;
    });
    ASSERT_TRUE(test::run_until(first.loop, [&] { return first.front_end->stats().open_objects == 1; }));
    leave();
    server_.emplace(*this);
    server_->handler.accept_size.reset();
    server_->serve();
    ASSERT_TRUE(server_->front_end->start(server_->handler));
    const auto refuse = [this] {
        ASSERT_TRUE(test::run_until(server_->loop, [&] { return server_->handler.opens.size() == 1; }));
        server_->handler.opens.front().pending.reject(Error{ErrorKind::kNoSpace, "for now"});
        server_->handler.opens.clear();
    };
    refuse(); // at the start
    ASSERT_EQ(::write(go[1], "g", 1), 1);
    refuse(); // for the first READ
    server_->handler.accept_size = kSurvivalSize;
    EXPECT_EQ(result_of(reader), 0);
    expect_all_closed();
    ::close(go[0]);
    ::close(go[1]);
}

} // namespace
} // namespace sluice::protocol
